// Writes what the package's entries export, with their types, to etc/*.api.md: a change of it is then seen in review.
// `--check` (test/api.test.ts): says which of them are out of date, and changes nothing. Reads dist/, so build first.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Extractor, ExtractorConfig } from "@microsoft/api-extractor";

const root = fileURLToPath(new URL("..", import.meta.url));
const temp = mkdtempSync(join(tmpdir(), "ringdial-api-"));
mkdirSync(join(root, "etc"), { recursive: true });
const check = process.argv.includes("--check");

/** What is said of types that are not exported, or without a release tag, is not wanted. */
const silent = { logLevel: "none" };

/** @param {string} entry @returns {boolean} whether the report that is checked in is right */
function report(entry) {
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: join(root, "dist", "esm", `${entry}.d.ts`),
      apiReport: { enabled: true, reportFileName: `${entry}.api.md`, reportFolder: join(root, "etc"), reportTempFolder: temp },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      compiler: { overrideTsconfig: { compilerOptions: { lib: ["ES2022", "ESNext.Disposable"], types: [], module: "NodeNext", moduleResolution: "NodeNext", target: "ES2022", skipLibCheck: true } } },
      messages: { compilerMessageReporting: { default: silent }, extractorMessageReporting: { default: silent }, tsdocMessageReporting: { default: silent } },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, "package.json"),
  });
  const { apiReportChanged } = Extractor.invoke(config, { localBuild: !check, messageCallback: (message) => void (message.handled = message.logLevel !== "error") });
  return !apiReportChanged;
}

const changed = ["index", "core", "react", "testing"].filter((entry) => !report(entry));
rmSync(temp, { recursive: true, force: true });
console.log(JSON.stringify(changed));
