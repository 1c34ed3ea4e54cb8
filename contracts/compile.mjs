// Compile one Solidity file and what it imports; print {contract: {abi, bytecode, runtime, immutables}} as JSON.
// Usage: node compile.mjs '{"root": "...", "entry": "File.sol", "compiler": "solc", "viaIR": false, "nodeModules": "..."}'
// `compiler` is the package of the solc to use; imports are looked up next to the file, then under root, then in node_modules.
// With "evmVersion" the code is for that fork. `immutables` are the places in the runtime code of each immutable, in their order.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { root, entry, compiler, viaIR, evmVersion, nodeModules } = JSON.parse(process.argv[2]);
const solc = createRequire(join(nodeModules, "package.json"))(compiler);

function readImport(path) {
  const found = [join(root, path), join(nodeModules, path)].find(existsSync);
  return found ? { contents: readFileSync(found, "utf8") } : { error: `${path} is neither in ${root} nor in node_modules` };
}

const input = {
  language: "Solidity",
  sources: { [entry]: { content: readFileSync(join(root, entry), "utf8") } },
  settings: {
    optimizer: { enabled: true, runs: 200 },
    viaIR,
    ...(evmVersion ? { evmVersion } : {}),
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
const errors = (output.errors ?? []).filter((one) => one.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((one) => one.formattedMessage).join("\n"));
  process.exit(1);
}
const contracts = {};
for (const file of Object.values(output.contracts)) {
  for (const [name, made] of Object.entries(file)) {
    const { object, immutableReferences } = made.evm.deployedBytecode;
    const byId = Object.entries(immutableReferences ?? {}).sort(([one], [other]) => Number(one) - Number(other));
    contracts[name] = {
      abi: made.abi,
      bytecode: "0x" + made.evm.bytecode.object,
      runtime: "0x" + object,
      immutables: byId.map(([, places]) => places.map((place) => place.start)),
    };
  }
}
process.stdout.write(JSON.stringify(contracts));
