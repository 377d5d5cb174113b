/** The search bar's editor: one line, Enter searches, Tab takes the first completion. */
import {
  acceptCompletion,
  autocompletion,
  closeCompletion,
  completionStatus,
  moveCompletionSelection,
  startCompletion,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { EditorState, type Extension } from '@codemirror/state';
import { EditorView, keymap, placeholder } from '@codemirror/view';
import { type CompletionData, completionSource } from '@/features/explore/editor/completion';
import { queryLanguage } from '@/features/explore/editor/language';
import { problemMark } from '@/features/explore/editor/problem';

export interface EditorHandlers {
  submit: (text: string) => void;
  changed: (text: string) => void;
  completionData: () => CompletionData;
}

/** Line breaks that are typed or pasted become spaces; those of a quoted value set from outside stay. */
const oneLine = EditorState.transactionFilter.of((transaction) => {
  if (!transaction.docChanged || !transaction.isUserEvent('input')) return transaction;
  if (transaction.newDoc.lines <= transaction.startState.doc.lines) return transaction;
  const text = transaction.newDoc.toString().replace(/\s*\n\s*/g, ' ');
  return {
    changes: { from: 0, to: transaction.startState.doc.length, insert: text },
    selection: { anchor: Math.min(text.length, transaction.newSelection.main.head) },
  };
});

export function editorExtensions(handlers: EditorHandlers): Extension[] {
  const submit = (view: EditorView) => {
    closeCompletion(view);
    handlers.submit(view.state.doc.toString());
    return true;
  };
  const leave = (view: EditorView) => {
    if (completionStatus(view.state) !== null) return closeCompletion(view);
    view.contentDOM.blur();
    return true;
  };
  return [
    oneLine,
    history(),
    queryLanguage,
    problemMark,
    autocompletion({
      override: [completionSource(handlers.completionData)],
      // Enter must search, so nothing is chosen until the arrow keys choose it; Tab takes the first.
      selectOnOpen: false,
      icons: false,
      maxRenderedOptions: 60,
      interactionDelay: 0,
    }),
    placeholder('Search: timeout, "connection reset", level>=warn, service:shop-web, status:[500 TO 599]'),
    keymap.of([
      { key: 'Enter', run: (view) => acceptCompletion(view) || submit(view) },
      { key: 'Mod-Enter', run: submit },
      { key: 'Tab', run: acceptFirst },
      { key: 'Escape', run: leave },
      { key: 'ArrowDown', run: (view) => completionStatus(view.state) === null && startCompletion(view) },
      ...historyKeymap,
      ...defaultKeymap,
    ]),
    EditorView.contentAttributes.of({
      'aria-label': 'Search query',
      autocapitalize: 'off',
      autocorrect: 'off',
      spellcheck: 'false',
      enterkeyhint: 'search',
    }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) handlers.changed(update.state.doc.toString());
      const last = update.state.selection.main.head;
      const typed =
        update.docChanged && update.transactions.some((item) => item.isUserEvent('input.complete'));
      // A completed field name ends in a colon: offer its values at once.
      if (typed && update.state.sliceDoc(last - 1, last) === ':') startCompletion(update.view);
    }),
  ];
}

function acceptFirst(view: EditorView): boolean {
  if (completionStatus(view.state) !== 'active') return false;
  if (acceptCompletion(view)) return true;
  moveCompletionSelection(true)(view);
  return acceptCompletion(view);
}
