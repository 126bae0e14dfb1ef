/** The ratios as an SVG: the first figure of each work, on a logarithmic scale with mosquitto = 1. */
import type { PeerName } from './peers/peers.ts'
import type { Results } from './results.ts'
import { formatRatio } from './table.ts'

const colours: Record<PeerName, string> = {
  haltere: '#2563eb',
  aedes: '#d97706',
  relay: '#9ca3af',
  mosquitto: '#111827',
}
const LEFT = 130
const WIDTH = 760
const BAR = 11
const GAP = 9
const TOP = 56
const TICKS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100]

export function svgPlot(results: Results): string {
  const brokers = (Object.keys(results.brokers) as PeerName[]).filter((name) => name !== 'mosquitto')
  const firstFigures = results.rows.filter((row, index) => row.work !== results.rows[index - 1]?.work)
  const rows = firstFigures.filter((row) => brokers.some((broker) => (row.values[broker]?.ratio ?? 0) > 0))
  const ratios = rows.flatMap((row) => brokers.map((broker) => row.values[broker]?.ratio ?? 1)).filter((r) => r > 0)
  const low = Math.log10(Math.max(0.01, Math.min(0.3, ...ratios)) * 0.7)
  const high = Math.log10(Math.min(100, Math.max(3, ...ratios)) * 1.6)
  const x = (ratio: number): number => {
    const position = (Math.log10(Math.max(ratio, 0.01)) - low) / (high - low)
    return LEFT + Math.min(1, Math.max(0, position)) * (WIDTH - LEFT - 20)
  }
  const step = brokers.length * BAR + GAP
  const height = TOP + rows.length * step + 10
  const parts: string[] = []
  const add = (element: string): void => void parts.push(`  ${element}`)
  const text = (left: number, top: number, content: string, more = ''): void =>
    add(`<text x="${left.toFixed(1)}" y="${top.toFixed(1)}" ${more}>${content}</text>`)

  add(`<rect width="${WIDTH}" height="${height}" fill="#fff"/>`)
  text(10, 18, 'Times as good as mosquitto, each work’s first figure (logarithmic)', 'font-weight="bold"')
  for (const [index, broker] of brokers.entries()) {
    add(`<rect x="${LEFT + index * 110}" y="26" width="10" height="10" fill="${colours[broker]}"/>`)
    text(LEFT + 15 + index * 110, 35, broker)
  }
  for (const tick of TICKS.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high)) {
    const at = x(tick).toFixed(1)
    const colour = tick === 1 ? '#111827' : '#e5e7eb'
    add(`<line x1="${at}" x2="${at}" y1="${TOP - 4}" y2="${height - 6}" stroke="${colour}"/>`)
    text(x(tick), TOP - 7, String(tick), 'text-anchor="middle" fill="#6b7280"')
  }
  for (const [index, row] of rows.entries()) {
    const top = TOP + index * step
    text(LEFT - 8, top + step / 2, row.work, 'text-anchor="end"')
    for (const [place, broker] of brokers.entries()) {
      const ratio = row.values[broker]?.ratio
      if (ratio === undefined) continue
      const [from, to] = [Math.min(x(1), x(ratio)), Math.max(x(1), x(ratio))]
      const y = top + place * BAR + 2
      add(
        `<rect x="${from.toFixed(1)}" y="${y}" width="${Math.max(1, to - from).toFixed(1)}" height="${BAR - 2}" fill="${colours[broker]}"/>`,
      )
      text(to + 3, y + BAR - 3, formatRatio(ratio), 'font-size="9" fill="#374151"')
    }
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}
