/** The whole dashboard at an address, as a user has it, with the mocked network behind it. */
import { createMemoryHistory } from '@tanstack/react-router';
import { render } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { App } from '@/app/app';

export function renderApp(path: string) {
  const history = createMemoryHistory({ initialEntries: [path] });
  render(<App history={history} env="test" />);
  const search = () => new URLSearchParams(history.location.search);
  return { history, search, user: userEvent.setup() };
}
