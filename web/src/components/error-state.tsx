/** A failed request, said in words that help, with a button to try again. */
import { Button } from '@mantine/core';
import { MessageState } from '@/components/message-state';
import { ApiError } from '@/lib/api/api-error';
import { sentence } from '@/lib/text';

interface ErrorStateProps {
  error: unknown;
  /** What could not be done: "The keys could not be loaded". */
  title: string;
  onRetry?: () => void;
}

export function ErrorState({ error, title, onRetry }: ErrorStateProps) {
  const retry = onRetry && (
    <Button variant="default" onClick={onRetry}>
      Try again
    </Button>
  );
  return (
    <MessageState icon="alert-triangle" tone="bad" title={title} actions={retry}>
      {errorText(error)}
    </MessageState>
  );
}

/** The sentence for a person; the hint of the server, or what the status means, comes after its detail. */
export function errorText(error: unknown): string {
  if (!(error instanceof ApiError))
    return error instanceof Error ? error.message : 'Something unexpected went wrong.';
  const advice = error.hint ?? statusAdvice(error);
  return [error.message, advice].map(sentence).join(' ').trim();
}

function statusAdvice(error: ApiError): string {
  if (error.status === 429 || error.status === 503) {
    return error.retryAfterSeconds === undefined
      ? 'Wait a moment and try again.'
      : `Try again in ${error.retryAfterSeconds} s.`;
  }
  return '';
}
