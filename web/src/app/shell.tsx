/** The frame around the pages: header with navigation, theme, help and session. */
import { ActionIcon, Menu, Tooltip } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router';
import { lazy, Suspense, useState } from 'react';
import { ProjectMenu, UnknownProject } from '@/app/project-menu';
import { SessionMenu } from '@/app/session-menu';
import classes from '@/app/shell.module.css';
import { ThemeMenu } from '@/app/theme-menu';
import { ErrorBoundary } from '@/components/error-boundary';
import { Icon } from '@/components/icon';
import { Logo } from '@/components/logo';
import { sessionQuery } from '@/lib/api/get-session';
import { DEFAULT_PROJECT, useProject } from '@/lib/project';
import { useShortcuts } from '@/lib/use-shortcuts';

const ShortcutsHelp = lazy(() => import('@/app/shortcuts-help'));

const PAGES = [
  { to: '/', label: 'Explore' },
  { to: '/dead-letters', label: 'Dead letters' },
  { to: '/status', label: 'Status' },
  { to: '/settings/keys', label: 'Keys' },
  { to: '/start', label: 'Get started' },
] as const;

export function Root() {
  return <Outlet />;
}

export function Shell() {
  const [help, setHelp] = useState(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  const project = useProject();
  const session = useQuery({ ...sessionQuery, enabled: false });
  const unknown = session.data?.projects.includes(project ?? DEFAULT_PROJECT) === false;
  useShortcuts({ '?': () => setHelp(true) });
  return (
    <>
      <a href="#main" className={classes.skip}>
        Skip to content
      </a>
      <header className={classes.header}>
        <NarrowNav />
        <Link to="/" search={{}} className={classes.brand}>
          <Logo size={22} />
          <span className={classes.name}>Instant Dev Logs</span>
        </Link>
        <ProjectMenu />
        <nav className={classes.nav} aria-label="Pages">
          {PAGES.map(({ to, label }) => (
            <Link key={to} to={to} search={{}} className={classes.link} activeOptions={ACTIVE}>
              {label}
            </Link>
          ))}
        </nav>
        <div className={classes.tools}>
          <Tooltip label="Keyboard shortcuts (?)">
            <ActionIcon aria-label="Keyboard shortcuts" onClick={() => setHelp(true)}>
              <Icon name="keyboard" size={18} />
            </ActionIcon>
          </Tooltip>
          <ThemeMenu />
          <SessionMenu />
        </div>
      </header>
      <main id="main" className={classes.main}>
        <ErrorBoundary what="this page" resetKey={path}>
          {project !== undefined && unknown ? <UnknownProject name={project} /> : <Outlet key={project} />}
        </ErrorBoundary>
      </main>
      <Suspense>{help && <ShortcutsHelp onClose={() => setHelp(false)} />}</Suspense>
    </>
  );
}

/** A page is active whatever its search; `/` only by itself. */
const ACTIVE = { exact: true, includeSearch: false } as const;

function NarrowNav() {
  const navigate = useNavigate();
  return (
    <Menu position="bottom-start" width={200}>
      <Menu.Target>
        <ActionIcon className={classes.burger} aria-label="Pages">
          <Icon name="menu-2" size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {PAGES.map(({ to, label }) => (
          <Menu.Item key={to} onClick={() => void navigate({ to, search: {} })}>
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
