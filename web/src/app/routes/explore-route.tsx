/** Explore, with the first-run page for a project without records. */

import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { lazy, Suspense } from 'react';
import { ExplorePage } from '@/features/explore/components/explore-page';

/** Most visitors have records and never see it. */
const StartPanel = lazy(async () => ({
  default: (await import('@/features/start/components/start-panel')).StartPanel,
}));

export function ExploreRoute() {
  const navigate = useNavigate();
  const client = useQueryClient();
  const explore = () => {
    void client.invalidateQueries();
    void navigate({ to: '/', search: { from: '-24h' } });
  };
  return (
    <ExplorePage
      firstRun={
        <Suspense>
          <StartPanel onExplore={explore} />
        </Suspense>
      }
    />
  );
}
