/** Which project the pages look at: shown to who may see several. The URL holds the choice. */
import { Button, Menu } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import classes from '@/app/shell.module.css';
import { Icon } from '@/components/icon';
import { MessageState } from '@/components/message-state';
import { sessionQuery } from '@/lib/api/get-session';
import { DEFAULT_PROJECT, useProject } from '@/lib/project';

export function ProjectMenu() {
  const session = useQuery({ ...sessionQuery, enabled: false });
  const current = useProject() ?? DEFAULT_PROJECT;
  const choose = useChooseProject();
  const projects = session.data?.projects ?? [];
  // While nobody knows what there is, there is nothing to choose.
  if (session.data === undefined || (projects.length < 2 && projects.includes(current))) return null;
  return (
    // Another admin may have made a project since.
    <Menu position="bottom-start" width={220} onOpen={() => session.refetch()}>
      <Menu.Target>
        <Button
          variant="default"
          aria-label={`Project: ${current}`}
          rightSection={<Icon name="chevron-down" size={13} />}
          className={classes.project}
        >
          {current}
        </Button>
      </Menu.Target>
      <Menu.Dropdown mah={420} style={{ overflowY: 'auto' }}>
        <Menu.Label>Projects</Menu.Label>
        {projects.map((name) => (
          <Menu.Item
            key={name}
            aria-current={name === current || undefined}
            rightSection={name === current ? <Icon name="check" size={14} /> : undefined}
            onClick={() => choose(name)}
          >
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

/** A link may name a project that is gone, or that this user may not see. */
export function UnknownProject({ name }: { name: string }) {
  const choose = useChooseProject();
  return (
    <MessageState
      icon="inbox"
      title={`There is no project “${name}” for you here`}
      actions={<Button onClick={() => choose(DEFAULT_PROJECT)}>Go to the project “{DEFAULT_PROJECT}”</Button>}
    >
      The link may be misspelt, or your account may not see this project. Choose another one above.
    </MessageState>
  );
}

/** Stays on the page and keeps the search; a record belongs to its project, so it is closed. */
function useChooseProject(): (name: string) => void {
  const navigate = useNavigate();
  return (name) => {
    const project = name === DEFAULT_PROJECT ? undefined : name;
    void navigate({
      to: '.',
      search: (now) => ({ ...now, project, record: undefined, context: undefined }),
    });
  };
}
