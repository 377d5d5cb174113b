/** Explore, with the first-run page for a project without records. */

import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { ExplorePage } from '@/features/explore/components/explore-page';
import { StartPanel } from '@/features/start/components/start-panel';

export function ExploreRoute() {
  const navigate = useNavigate();
  const client = useQueryClient();
  const explore = () => {
    void client.invalidateQueries();
    void navigate({ to: '/', search: { from: '-24h' } });
  };
  return <ExplorePage firstRun={<StartPanel onExplore={explore} />} />;
}
