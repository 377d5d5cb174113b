/** Colours of the query language, drawn as decorations over the lexer's tokens. */
import type { EditorState, Extension, Range } from '@codemirror/state';
import { StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView } from '@codemirror/view';
import { type TokenKind, tokenize } from '@/lib/query/lexer';

const MARKS: Record<TokenKind, Decoration> = {
  word: Decoration.mark({ class: 'q-word' }),
  string: Decoration.mark({ class: 'q-string' }),
  regex: Decoration.mark({ class: 'q-regex' }),
  field: Decoration.mark({ class: 'q-field' }),
  operator: Decoration.mark({ class: 'q-operator' }),
  value: Decoration.mark({ class: 'q-value' }),
  range: Decoration.mark({ class: 'q-number' }),
  keyword: Decoration.mark({ class: 'q-keyword' }),
  not: Decoration.mark({ class: 'q-keyword' }),
  paren: Decoration.mark({ class: 'q-operator' }),
};
const NUMBER = Decoration.mark({ class: 'q-number' });

function decorate(state: EditorState): DecorationSet {
  const marks: Range<Decoration>[] = tokenize(state.doc.toString()).map((token) => {
    const isNumber = token.kind === 'value' && /^-?\d+(\.\d+)?([eE][+-]?\d{1,3})?$/.test(token.text);
    return (isNumber ? NUMBER : MARKS[token.kind]).range(token.from, token.to);
  });
  return Decoration.set(marks);
}

const colours = StateField.define<DecorationSet>({
  create: decorate,
  update: (marks, transaction) => (transaction.docChanged ? decorate(transaction.state) : marks),
  provide: (field) => EditorView.decorations.from(field),
});

export const queryLanguage: Extension = colours;
