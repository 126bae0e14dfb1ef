/** Results as tables for the terminal and the documentation. */
import type { PeerName } from './peers/peers.ts'
import type { Results, Row, Value } from './results.ts'

export function formatNumber(value: number): string {
  if (value === 0) return '0'
  if (Math.abs(value) >= 1000) return Number(value.toPrecision(3)).toLocaleString('en-US')
  return String(Number(value.toPrecision(2)))
}

export function formatRatio(ratio: number): string {
  if (ratio >= 10) return ratio.toFixed(0)
  return ratio >= 0.1 || ratio === 0 ? ratio.toFixed(2) : String(Number(ratio.toPrecision(1)))
}

function withUnit(value: Value, unit: string): string {
  return `${formatNumber(value.median)}${unit === '' || unit === '1/s' ? '' : ` ${unit}`}`
}

/** The CPU of the generator is a check of the harness, not a figure of a broker. */
export function rowsToShow(results: Results): readonly Row[] {
  return results.rows.filter((row) => row.key !== 'load' && Object.keys(row.values).length > 0)
}

function heading(results: Results): string {
  const versions = Object.entries(results.brokers).map(([name, version]) => `${name} ${version}`.trim())
  return `${results.machine}; ${versions.join(', ')}; ${results.rounds} ${results.rounds === 1 ? 'round' : 'rounds'}; ${results.date}`
}

/** Aligns columns; the first ones are left-aligned. */
export function table(head: readonly string[], lines: readonly (readonly string[])[], leftColumns: number): string {
  const widths = head.map((name, column) => Math.max(name.length, ...lines.map((cells) => cells[column]!.length)))
  return [head, ...lines]
    .map((cells) =>
      cells
        .map((cell, column) => (column < leftColumns ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

export function textTable(results: Results): string {
  const brokers = Object.keys(results.brokers) as PeerName[]
  const head = ['work', 'figure', ...brokers]
  let work = ''
  const lines = rowsToShow(results).map((row) => {
    const first = row.work === work ? '' : row.work
    work = row.work
    const cells = brokers.map((broker) => {
      const value = row.values[broker]
      if (value === undefined) return '–'
      const ratio = value.ratio === undefined ? '' : formatRatio(value.ratio)
      return `${withUnit(value, row.figure.unit)} ${ratio.padStart(6)}`
    })
    return [first, row.figure.title, ...cells]
  })
  return [
    heading(results),
    'Beside each figure: how many times as good as mosquitto (= 1.00), whichever way is better.',
    '',
    table(head, lines, 2),
    ...(results.remarks.length > 0 ? ['', ...results.remarks] : []),
  ].join('\n')
}

export function markdownTable(results: Results): string {
  const brokers = Object.keys(results.brokers) as PeerName[]
  let work = ''
  const lines = rowsToShow(results).map((row) => {
    const first = row.work === work ? '' : `**${row.work}**<br>${row.title}`
    work = row.work
    const cells = brokers.map((broker) => {
      const value = row.values[broker]
      if (value === undefined) return '–'
      const ratio = value.ratio === undefined ? '' : `**${formatRatio(value.ratio)}**<br>`
      return `${ratio}${withUnit(value, row.figure.unit)}`
    })
    return `| ${[first, row.figure.title, ...cells].join(' | ')} |`
  })
  return [
    `${heading(results)}.`,
    '',
    `| work | figure | ${brokers.join(' | ')} |`,
    `|---|---|${'---:|'.repeat(brokers.length)}`,
    ...lines,
    ...(results.remarks.length > 0 ? ['', ...results.remarks.map((remark) => `* ${remark}`)] : []),
  ].join('\n')
}
