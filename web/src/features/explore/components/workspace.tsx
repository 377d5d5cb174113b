/** The lower part of explore: facets, results, the open record. On narrow screens the first and last cover the page. */
import { Drawer, FocusTrap } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { lazy, type ReactNode, Suspense } from 'react';
import classes from '@/features/explore/components/explore.module.css';
import { Facets } from '@/features/explore/components/facets';
import type { Explore } from '@/features/explore/state/use-explore-state';
import type { RecordNavigation } from '@/features/explore/state/use-record-navigation';
import { excludeValue, includeValue } from '@/lib/query/edit';

const DetailPanel = lazy(() => import('@/features/explore/components/detail-panel'));

export const NARROW_QUERY = '(max-width: 860px)';

interface WorkspaceProps extends Explore {
  navigation: RecordNavigation;
  facetsShown: boolean;
  facetsDrawer: boolean;
  onCloseDrawer: () => void;
  children: ReactNode;
}

export function Workspace(props: WorkspaceProps) {
  const { state, resolved, update, facetsShown, facetsDrawer, onCloseDrawer, children } = props;
  const narrow = useMediaQuery(NARROW_QUERY, undefined, { getInitialValueInEffect: false });
  const facets = (
    <Facets
      query={state.query}
      resolved={resolved}
      onQuery={(query) => update({ query, record: undefined })}
    />
  );
  return (
    <div className={classes.work}>
      {facetsShown && !narrow && (
        <aside className={classes.facets} aria-label="Filters">
          {facets}
        </aside>
      )}
      <Drawer
        opened={facetsDrawer && narrow === true}
        onClose={onCloseDrawer}
        title="Filters"
        size={320}
        padding={0}
        styles={{ header: { padding: '10px 14px' }, title: { fontWeight: 600 } }}
      >
        {facets}
      </Drawer>
      <div className={classes.center}>{children}</div>
      {state.record !== undefined && <OpenRecord {...props} id={state.record} narrow={narrow === true} />}
    </div>
  );
}

function OpenRecord({
  id,
  narrow,
  state,
  update,
  navigation,
}: WorkspaceProps & { id: string; narrow: boolean }) {
  const { columns } = state;
  const filter = (change: typeof includeValue) => (field: string, value: string) =>
    // On a narrow screen the record covers the results, so a filter closes it to show what it did.
    update({ query: change(state.query, field, value), ...(narrow ? { record: undefined } : {}) });
  const toggleColumn = (field: string) =>
    update(
      { columns: columns.includes(field) ? columns.filter((item) => item !== field) : [...columns, field] },
      { replace: true },
    );
  const panel = (
    <Suspense>
      <DetailPanel
        id={id}
        loaded={navigation.openRecord}
        context={state.context}
        handlers={{
          onInclude: filter(includeValue),
          onExclude: filter(excludeValue),
          onToggleColumn: toggleColumn,
          columns,
        }}
        onContext={(context) => update({ context }, { replace: true })}
        onMove={navigation.move}
        onOpen={navigation.open}
        onClose={navigation.close}
      />
    </Suspense>
  );
  if (!narrow) {
    return (
      <aside className={classes.detail} aria-label="Record">
        {panel}
      </aside>
    );
  }
  return (
    <FocusTrap>
      <div className={classes.detail} role="dialog" aria-modal="true" aria-label="Record" tabIndex={-1}>
        {panel}
      </div>
    </FocusTrap>
  );
}
