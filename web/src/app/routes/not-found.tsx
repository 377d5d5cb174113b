/** An address without a page. */
import { Button } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { MessageState } from '@/components/message-state';

export function NotFound() {
  const navigate = useNavigate();
  return (
    <MessageState
      icon="search"
      title="There is no page here"
      actions={<Button onClick={() => void navigate({ to: '/' })}>Explore logs</Button>}
    >
      The address may be misspelt, or the page is gone.
    </MessageState>
  );
}
