// What Microsoft's own parser and binder of KQL says of queries. In (standard input): {tables: {name: schema}, queries: [text]};
// out: for each query the diagnostics, as text. The argument is the folder of @kusto/language-service-next.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(import.meta.url);
require(`${process.argv[2]}/bridge.min.js`);
require(`${process.argv[2]}/Kusto.Language.Bridge.min.js`);
const { KustoCode, GlobalState, Symbols } = globalThis.Kusto.Language;

const { tables, queries } = JSON.parse(readFileSync(0, 'utf8'));
const symbols = Object.entries(tables).map(([name, schema]) => Symbols.TableSymbol.From(schema).WithName(name));
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor1('logs', symbols));
const said = queries.map((query) => {
  const found = KustoCode.ParseAndAnalyze(query, globals).GetDiagnostics();
  return Array.from({ length: found.Count }, (_, i) => `${found.getItem(i).Code} ${found.getItem(i).Message}`);
});
process.stdout.write(JSON.stringify(said));
