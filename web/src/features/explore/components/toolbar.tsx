/** The top of explore: search, live, time, refresh. */

import type { EditorView } from '@codemirror/view';
import { ActionIcon, Button, Tooltip } from '@mantine/core';
import type { RefObject } from 'react';
import { Icon } from '@/components/icon';
import classes from '@/features/explore/components/explore.module.css';
import { SearchBar } from '@/features/explore/components/search-bar';
import { TimePicker } from '@/features/explore/components/time-picker';
import type { Explore } from '@/features/explore/state/use-explore-state';
import type { ApiError } from '@/lib/api/api-error';
import type { TimeRange } from '@/lib/time/range';

interface ToolbarProps extends Explore {
  problem: ApiError | undefined;
  editor: RefObject<EditorView | null>;
  timeOpened: boolean;
  onTimeOpened: (opened: boolean) => void;
  onRange: (range: TimeRange) => void;
  onRefresh: () => void;
  onFacets: () => void;
  loading: boolean;
}

export function Toolbar(props: ToolbarProps) {
  const { state, resolved, update, loading } = props;
  return (
    <div className={classes.toolbar}>
      <SearchBar
        query={state.query}
        resolved={resolved}
        onSubmit={(query) => update({ query, record: undefined })}
        problem={props.problem}
        viewRef={props.editor}
      />
      <div className={classes.controls}>
        <Tooltip label="Filters (f)">
          <ActionIcon
            variant="default"
            className={classes.square}
            size={36}
            aria-label="Show or hide filters"
            onClick={props.onFacets}
          >
            <Icon name="adjustments-horizontal" />
          </ActionIcon>
        </Tooltip>
        <Button
          variant="default"
          className={classes.live}
          aria-pressed={state.live}
          leftSection={<Icon name="broadcast" size={15} />}
          onClick={() => update({ live: !state.live, record: undefined })}
          title="Live tail (l)"
        >
          Live
        </Button>
        <TimePicker
          range={state.range}
          resolved={resolved}
          opened={props.timeOpened}
          onOpened={props.onTimeOpened}
          onChange={props.onRange}
        />
        <Tooltip label="Search again (r)">
          <ActionIcon
            variant="default"
            className={classes.square}
            size={36}
            aria-label="Refresh"
            loading={loading}
            disabled={state.live}
            onClick={props.onRefresh}
          >
            <Icon name="refresh" />
          </ActionIcon>
        </Tooltip>
      </div>
    </div>
  );
}
