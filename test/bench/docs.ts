/** Writes the figures between the two marks of docs/performance.md, and the plot beside that page. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { svgPlot } from './plot.ts'
import type { Results } from './results.ts'
import { markdownTable } from './table.ts'

const docs = join(import.meta.dirname, '../../../docs')
const BEGIN = '<!-- measured: begin -->'
const END = '<!-- measured: end -->'

export function writeDocs(results: Results): void {
  const file = join(docs, 'performance.md')
  const page = readFileSync(file, 'utf8')
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${file}: expected the marks ${BEGIN} and ${END}`)
  writeFileSync(file, `${page.slice(0, begin + BEGIN.length)}\n${markdownTable(results)}\n${page.slice(end)}`)
  writeFileSync(join(docs, 'performance.svg'), svgPlot(results))
}
