/** The CodeMirror editor as a React component. */
import { EditorState } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { type RefObject, useEffect, useRef } from 'react';
import classes from '@/features/explore/components/query-editor.module.css';
import type { CompletionData } from '@/features/explore/editor/completion';
import { type EditorHandlers, editorExtensions } from '@/features/explore/editor/editor-setup';
import { setProblem } from '@/features/explore/editor/problem';
import type { ApiError } from '@/lib/api/api-error';

interface QueryEditorProps {
  /** The query in force; the text follows it when it changes from outside. */
  value: string;
  onSubmit: (text: string) => void;
  onChange: (text: string) => void;
  /** The server's complaint about `value`; its position is in characters. */
  problem: ApiError | undefined;
  completionData: CompletionData;
  /** Set to the editor, for focus by keyboard. */
  viewRef: RefObject<EditorView | null>;
}

export default function QueryEditor(props: QueryEditorProps) {
  const { value, problem, viewRef } = props;
  const host = useRef<HTMLDivElement>(null);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    if (host.current === null) return;
    const handlers: EditorHandlers = {
      submit: (text) => latest.current.onSubmit(text),
      changed: (text) => latest.current.onChange(text),
      completionData: () => latest.current.completionData,
    };
    const state = EditorState.create({ doc: latest.current.value, extensions: editorExtensions(handlers) });
    const view = new EditorView({ state, parent: host.current });
    viewRef.current = view;
    return () => {
      view.destroy();
      viewRef.current = null;
    };
  }, [viewRef]);

  useEffect(() => {
    const view = viewRef.current;
    if (view === null || view.state.doc.toString() === value) return;
    view.dispatch({
      changes: { from: 0, to: view.state.doc.length, insert: value },
      selection: { anchor: value.length },
    });
  }, [value, viewRef]);

  useEffect(() => {
    viewRef.current?.dispatch({ effects: setProblem.of(problem?.position ?? null) });
  }, [problem, viewRef]);

  return <div ref={host} className={classes.editor} data-testid="query-editor" />;
}
