// Reads a structured report with dcmjs and prints its tree: node read_report.cjs DCMJS REPORT
//
// Every content item is a line of JSON with its depth, value type, name and value; after them
// comes a line with the tools for which dcmjs's own reader of TID 1500 found annotations.
"use strict";

const { readFileSync } = require("node:fs");

const [dcmjsFile, reportFile] = process.argv.slice(2);
const { adapters, data } = require(dcmjsFile);

const bytes = Uint8Array.from(readFileSync(reportFile));
const { dict } = data.DicomMessage.readFile(bytes.buffer);
const report = data.DicomMetaDictionary.naturalizeDataset(dict);

const code = (sequence) => {
  const item = sequence?.[0];
  return item ? [item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning] : null;
};

const value = (item) => {
  const [measured] = item.MeasuredValueSequence ?? [];
  switch (item.ValueType) {
    case "NUM":
      return { number: measured.NumericValue, unit: code(measured.MeasurementUnitsCodeSequence) };
    case "CODE":
      return code(item.ConceptCodeSequence);
    case "IMAGE":
      return item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID;
    default:
      return item.TextValue ?? item.UID ?? item.GraphicData ?? null;
  }
};

const print = (item, depth) => {
  const name = code(item.ConceptNameCodeSequence);
  console.log(JSON.stringify({ depth, type: item.ValueType, name, value: value(item) }));
  for (const child of item.ContentSequence ?? []) {
    print(child, depth + 1);
  }
};

print(report, 0);
const tools = adapters.Cornerstone.MeasurementReport.generateToolState(report);
console.log(JSON.stringify({ tools }));
