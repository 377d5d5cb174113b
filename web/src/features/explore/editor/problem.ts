/** The server's complaint about a query, underlined where it says; gone with the first change. */
import { type Extension, StateEffect, StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView } from '@codemirror/view';
import { tokenize } from '@/lib/query/lexer';

/** Position in characters (code points), as the API counts; null takes the mark away. */
export const setProblem = StateEffect.define<number | null>();

const MARK = Decoration.mark({ class: 'q-problem' });

export const problemMark: Extension = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update: (marks, transaction) => {
    let next = transaction.docChanged ? Decoration.none : marks;
    for (const effect of transaction.effects) {
      if (effect.is(setProblem)) next = problemDecoration(transaction.state.doc.toString(), effect.value);
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

function problemDecoration(text: string, position: number | null): DecorationSet {
  const span = position === null ? undefined : problemSpan(text, position);
  return span === undefined ? Decoration.none : Decoration.set([MARK.range(span.from, span.to)]);
}

/** The token at the position; the last character when the query ended too early. */
export function problemSpan(text: string, position: number): { from: number; to: number } | undefined {
  if (text === '') return undefined;
  const at = [...text].slice(0, Math.max(0, position)).join('').length;
  const token = tokenize(text).find((item) => at >= item.from && at < item.to);
  if (token) return { from: at, to: token.to };
  const from = Math.min(at, text.length - 1);
  return { from, to: from + 1 };
}
