/** Get started as a page of its own. */
import { useNavigate } from '@tanstack/react-router';
import { StartPanel } from '@/features/start/components/start-panel';

export function StartRoute() {
  const navigate = useNavigate();
  return (
    <div style={{ flex: 1, overflow: 'auto' }}>
      <StartPanel onExplore={() => void navigate({ to: '/' })} />
    </div>
  );
}
