/** Keeps a failure inside the part of the page where it happened. */
import { Button } from '@mantine/core';
import { Component, type ReactNode } from 'react';
import { MessageState } from '@/components/message-state';

interface ErrorBoundaryProps {
  children: ReactNode;
  /** The part in words: "this record". */
  what: string;
  /** A new value clears the failure: another record, another page. */
  resetKey?: string;
}

export class ErrorBoundary extends Component<ErrorBoundaryProps, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidUpdate(previous: ErrorBoundaryProps) {
    if (previous.resetKey !== this.props.resetKey && this.state.error) this.setState({ error: null });
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <MessageState
        icon="alert-triangle"
        tone="bad"
        title={`Could not show ${this.props.what}`}
        actions={
          <Button variant="default" onClick={() => this.setState({ error: null })}>
            Try again
          </Button>
        }
      >
        {error.message}
      </MessageState>
    );
  }
}
