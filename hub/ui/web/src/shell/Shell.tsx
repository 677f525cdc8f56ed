import { Bdi } from "../base/Bdi";
import "./shell.css";
import { Burger, Drawer, Menu, ScrollArea, TextInput, UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { signedOut } from "../api/client";
import { link } from "../api/link";
import { startLive } from "../api/live";
import { useCluster, useMe, useProjects } from "../api/queries";
import { Icon, type IconName } from "../base/icons";
import { keepFocus } from "../base/keepFocus";
import { projectInView, recall, remember } from "../base/local";
import { useNow } from "../base/parts";
import { Polite } from "../base/polite";
import { useStore } from "../base/store";
import { duration } from "../base/time";
import { type Key, t } from "../text/t";

// Shell is the frame around every page of a person who is signed in.
export function Shell() {
  const client = useQueryClient();
  const [open, drawer] = useDisclosure(false);
  const { pathname } = useLocation();

  const out = useStore(signedOut);
  useEffect(() => {
    if (out) return;
    const live = startLive(client);
    return () => live.close();
  }, [client, out]);

  useEffect(keepFocus, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: runs once per address
  useEffect(() => {
    drawer.close();
  }, [pathname]);
  // Who closes the menu is back where he opened it; who follows a link in it is not: the
  // focus is at the new page's title then.
  const burger = useRef<HTMLButtonElement>(null);
  const closeMenu = () => {
    drawer.close();
    burger.current?.focus();
  };

  return (
    <div className="shell">
      <a className="skip" href="#page-title">
        {t("shell.skip")}
      </a>
      <header className="top">
        <Burger ref={burger} opened={open} onClick={drawer.toggle} size="sm" aria-label={t("shell.menu")} />
        <Brand />
        <span className="spread" />
        <LinkDot />
      </header>
      <Side />
      <Drawer
        opened={open}
        onClose={closeMenu}
        returnFocus={false}
        size={260}
        padding={0}
        withCloseButton={false}
        className="drawer"
        title={undefined}
        aria-label={t("shell.menu")}
      >
        <Side />
      </Drawer>
      <main className="main">
        <LostBar />
        <HeldBar />
        <div className="content">
          <Outlet />
        </div>
      </main>
    </div>
  );
}

function Brand() {
  return (
    <Link to="/" className="brand">
      <Mark />
      <span>Fairlead</span>
    </Link>
  );
}

export function Mark({ size = 22 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#12606f" />
      <path d="M6 20c4 0 4-8 10-8s6 8 10 8" fill="none" stroke="#fff" strokeWidth="3" strokeLinecap="round" />
      <path d="M11 25V15a5 5 0 0 1 10 0v10" fill="none" stroke="#9fe0ea" strokeWidth="2.4" strokeLinecap="round" />
    </svg>
  );
}

// useCurrentProject is the project of the address, else the one last looked at.
export function useCurrentProject(): string {
  const { project } = useParams({ strict: false }) as { project?: string };
  const inView = useStore(projectInView);
  const projects = useProjects();
  const named = project || inView;
  useEffect(() => {
    if (named) remember("project", named);
  }, [named]);
  if (named) return named;
  const names = projects.data?.items.map((p) => p.name) ?? [];
  const last = recall("project");
  return names.includes(last) ? last : (names[0] ?? "");
}

function Side() {
  const me = useMe();
  const project = useCurrentProject();
  return (
    <nav className="side" aria-label={t("shell.main")}>
      <Brand />
      <ProjectPick project={project} />
      {project ? (
        <div className="nav">
          <NavLink to={`/projects/${project}/jobs`} icon="jobs" label="nav.jobs" />
          <NavLink to={`/projects/${project}/command`} icon="command" label="nav.command" />
          <NavLink to={`/projects/${project}/nodes`} icon="nodes" label="nav.nodes" />
          <NavLink to={`/projects/${project}/schedules`} icon="clock" label="nav.schedules" />
          <NavLink to={`/projects/${project}/settings`} icon="settings" label="nav.settings" />
        </div>
      ) : null}
      <div className="nav">
        <div className="nav-title">{t("nav.everywhere")}</div>
        <NavLink to="/" icon="home" label="nav.home" exact />
        <NavLink to="/executions" icon="activity" label="nav.executions" />
        <NavLink to="/runners" icon="runners" label="nav.runners" />
        <NavLink to="/keys" icon="keys" label="nav.keys" />
        <NavLink to="/cluster" icon="cluster" label="nav.cluster" />
      </div>
      <div className="side-foot">
        <LinkWords />
        <Link to="/profile" className="nav-link" activeProps={{ className: "active" }}>
          <Icon name="user" />
          <Bdi className="clip words">{me.data?.name ?? t("nav.profile")}</Bdi>
        </Link>
      </div>
    </nav>
  );
}

function NavLink({ to, icon, label, exact }: { to: string; icon: IconName; label: Key; exact?: boolean }) {
  return (
    <Link
      to={to}
      className="nav-link"
      activeProps={{ className: "active" }}
      activeOptions={{ exact: exact ?? false, includeSearch: false }}
    >
      <Icon name={icon} />
      <span className="words">{t(label)}</span>
    </Link>
  );
}

function ProjectPick({ project }: { project: string }) {
  const projects = useProjects();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const [search, setSearch] = useState("");
  const items = projects.data?.items ?? [];
  const shown = items.filter((p) => p.name.toLowerCase().includes(search.toLowerCase()));
  // Nodes stay nodes and jobs stay jobs when the project changes.
  const section = /^\/projects\/[^/]+\/(jobs|nodes|command|schedules|settings)/.exec(pathname)?.[1] ?? "jobs";
  return (
    <Menu width={240} position="bottom-start" onClose={() => setSearch("")}>
      <Menu.Target>
        <UnstyledButton
          className="project-pick"
          aria-label={t("shell.project", { name: project || t("shell.noProject") })}
        >
          <span className="spread clip">
            <Bdi>{project || t("shell.noProject")}</Bdi>
          </span>
          <Bdi className="short clip">{project || "–"}</Bdi>
          <Icon name="down" size={12} />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        {items.length > 8 ? (
          <TextInput
            size="xs"
            mb={4}
            value={search}
            onChange={(e) => setSearch(e.currentTarget.value)}
            placeholder={t("shell.findProject")}
            aria-label={t("shell.findProject")}
          />
        ) : null}
        <ScrollArea.Autosize mah={320}>
          {shown.map((p) => (
            <Menu.Item
              key={p.id}
              onClick={() => void navigate({ to: `/projects/${p.name}/${section}` })}
              rightSection={p.name === project ? <Icon name="check" /> : null}
            >
              <Bdi>{p.name}</Bdi>
            </Menu.Item>
          ))}
        </ScrollArea.Autosize>
        <Menu.Divider />
        <Menu.Item onClick={() => void navigate({ to: "/projects" })}>{t("shell.allProjects")}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function LinkDot() {
  const { state } = useStore(link);
  return <span className={`link-dot ${state}`} role="img" aria-label={t(`link.${state}`)} />;
}

function LinkWords() {
  const { state } = useStore(link);
  return (
    <div className="link-state" aria-hidden="true" title={state === "polling" ? t("link.pollingWhy") : undefined}>
      <span className={`link-dot ${state}`} />
      <span className="words">{t(`link.${state}`)}</span>
    </div>
  );
}

// HeldBar says on every page that nothing starts, and leads to why.
function HeldBar() {
  const { pathname } = useLocation();
  const held = useCluster(15_000).data?.recovery;
  const words = held ? `${t(`cluster.held.${held.kind}`)}. ${t("shell.held")}` : "";
  return (
    <>
      <Polite text={words} />
      {held && pathname !== "/cluster" ? (
        <div className="lost-bar">
          <Icon name="pause" />
          <span>{words}</span>
          <Link to="/cluster">{t("shell.heldWhy")}</Link>
        </div>
      ) : null}
    </>
  );
}

// LostBar says how old the page is; a short cut is not worth a word.
export function LostBar() {
  const { state, since } = useStore(link);
  useNow(state === "lost");
  const age = Date.now() - since;
  const lost = state === "lost" && age >= 3000;
  const wasLost = useRef(false);
  if (lost) wasLost.current = true;
  return (
    <>
      <Polite text={lost ? t("link.lostTold") : wasLost.current ? t("link.back") : ""} />
      {lost ? (
        <div className="lost-bar">
          <Icon name="warn" />
          {t("link.old", { age: duration(Math.floor(age / 1000) * 1000) })}
        </div>
      ) : null}
    </>
  );
}
