import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

export const root: string = join(import.meta.dirname, '..', '..', '..')

/** A page of the documentation. */
export interface Page {
  /** From the root of the repository: `docs/limits.md`. */
  readonly path: string
  readonly text: string
}

export const pages: readonly Page[] = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  .map((file) => join('docs', file))
  .concat(['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'examples/README.md'])
  .filter((file) => file.endsWith('.md'))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))

export function page(path: string): string {
  const found = pages.find((one) => one.path === path)
  if (found === undefined) throw new Error(`no page ${path}`)
  return found.text
}

/** The code blocks of a language, in their order. */
export function blocks(text: string, language: string): string[] {
  const found = text.matchAll(/^```(\w+)\n([^]*?)^```$/gm)
  return [...found].filter(([, name]) => name === language).map(([, , code = '']) => code)
}

/** Every row of every table as its cells, head rows and rules included. */
export function tableRows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

/** What stands in backquotes in the first column of the tables. */
export function namesInTables(text: string): string[] {
  return tableRows(text).flatMap(([first = '']) => [...first.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name))
}

/** The relative links of a page, each as a path from the root and an anchor. */
export function links({ path, text }: Page): { readonly target: string; readonly anchor: string }[] {
  const prose = text.replaceAll(/^```[^]*?^```$/gm, '')
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, url = '']) => url)
    .filter((url) => !/^[a-z]+:/.test(url))
    .map((url) => {
      const [file = '', anchor = ''] = url.split('#')
      const target = file === '' ? path : relative(root, join(root, dirname(path), file))
      return { target, anchor }
    })
}

/** The anchors of the headings, as GitHub makes them. */
export function anchors(text: string): string[] {
  const prose = text.replaceAll(/^```[^]*?^```$/gm, '')
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}
