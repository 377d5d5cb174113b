/** The search bar: editor, clear button, and the server's complaint about the query below it. */

import type { EditorView } from '@codemirror/view';
import { ActionIcon, Tooltip } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { lazy, type RefObject, Suspense, useEffect, useMemo, useState } from 'react';
import { Icon } from '@/components/icon';
import { fieldValuesQuery } from '@/features/explore/api/field-values';
import { fieldsQuery } from '@/features/explore/api/fields';
import classes from '@/features/explore/components/search-bar.module.css';
import type { CompletionData } from '@/features/explore/editor/completion';
import type { ApiError } from '@/lib/api/api-error';
import { useProject } from '@/lib/project';
import { sentence } from '@/lib/text';
import type { ResolvedRange } from '@/lib/time/range';

const COMPLETION_VALUES = 50;

/** The editor is as large as the rest of the page: it is loaded beside the page, and the records don't wait for it. */
const editor = import('@/features/explore/components/query-editor');
const QueryEditor = lazy(() => editor);

interface SearchBarProps {
  query: string;
  resolved: ResolvedRange;
  onSubmit: (query: string) => void;
  /** The error of the query in force, when it can't be read. */
  problem: ApiError | undefined;
  viewRef: RefObject<EditorView | null>;
}

export function SearchBar({ query, resolved, onSubmit, problem, viewRef }: SearchBarProps) {
  const [draft, setDraft] = useState(query);
  const client = useQueryClient();
  const project = useProject();
  useEffect(() => setDraft(query), [query]);
  const completionData = useMemo<CompletionData>(
    () => ({
      fields: () => client.ensureQueryData(fieldsQuery(project, resolved)),
      values: (name) =>
        client.ensureQueryData(
          fieldValuesQuery(project, { name, query: '', resolved, limit: COMPLETION_VALUES }),
        ),
    }),
    [client, project, resolved],
  );
  const clear = () => {
    onSubmit('');
    setDraft('');
    const view = viewRef.current;
    view?.dispatch({ changes: { from: 0, to: view.state.doc.length } });
    view?.focus();
  };
  const shown = draft === query ? problem : undefined;
  return (
    <>
      <search className={classes.bar} data-problem={shown ? true : undefined}>
        <Icon name="search" className={classes.icon} />
        <Suspense fallback={<div className={classes.loading}>{query}</div>}>
          <QueryEditor
            value={query}
            onSubmit={onSubmit}
            onChange={setDraft}
            problem={problem}
            completionData={completionData}
            viewRef={viewRef}
          />
        </Suspense>
        <div className={classes.actions}>
          {draft === '' && query === '' ? (
            <kbd className={classes.key} title="Press / to search">
              /
            </kbd>
          ) : (
            <Tooltip label="Empty the search bar">
              <ActionIcon size={24} aria-label="Empty the search bar" onClick={clear}>
                <Icon name="x" size={14} />
              </ActionIcon>
            </Tooltip>
          )}
          {draft !== query && (
            <Tooltip label="Search (Enter)">
              <ActionIcon
                size={24}
                variant="filled"
                color="brand"
                aria-label="Search"
                onClick={() => onSubmit(draft)}
              >
                <Icon name="chevron-right" size={15} />
              </ActionIcon>
            </Tooltip>
          )}
        </div>
      </search>
      {shown && <QueryProblem problem={shown} />}
    </>
  );
}

function QueryProblem({ problem }: { problem: ApiError }) {
  return (
    <p className={classes.problem} role="alert">
      <Icon name="alert-triangle" size={14} />
      <span>
        {sentence(problem.message)}{' '}
        {problem.hint !== undefined && <span className={classes.hint}>{sentence(problem.hint)}</span>}
      </span>
    </p>
  );
}
