// Code generated from hub/api/openapi.json by npm run generate. DO NOT EDIT.

export interface paths {
    "/api/v1/cluster": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Members and state of the installation */
        get: operations["get-cluster"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Say whether schedules fire */
        patch: operations["change-cluster"];
        trace?: never;
    };
    "/api/v1/cluster/hold": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Hold all work: before the database is moved, or after a backup was restored */
        post: operations["hold-cluster"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/cluster/members/{member}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Drain a member, or say whether schedules fire on it */
        patch: operations["change-member"];
        trace?: never;
    };
    "/api/v1/cluster/promote": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Make a member of an active-passive cluster the active one */
        post: operations["promote-member"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/cluster/release": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** End the hold: what is still open goes on, or ends as unknown */
        post: operations["release-cluster"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/enrolment": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What a new runner needs to know */
        get: operations["get-enrolment"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Live changes of executions and runners */
        get: operations["get-events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/executions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List executions, newest first */
        get: operations["list-executions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/executions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show an execution */
        get: operations["get-execution"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/executions/{id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Cancel an execution or single nodes of it */
        post: operations["cancel-execution"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/executions/{id}/keep": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Keep an execution for ever */
        post: operations["keep-execution"];
        /** Keep an execution only as long as others */
        delete: operations["unkeep-execution"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/executions/{id}/log": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read or follow the log */
        get: operations["get-log"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/executions/{id}/log/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Export the log with its proof */
        get: operations["export-log"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/executions/{id}/log/failure": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Find the first failure in the log */
        get: operations["get-log-failure"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/executions/{id}/log/search": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Search the log */
        get: operations["search-log"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/executions/{id}/nodes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The matrix of nodes and steps */
        get: operations["list-execution-nodes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List keys, without values */
        get: operations["list-keys"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys/{path}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show a key, without its value */
        get: operations["get-key"];
        /** Store a key; the body is its value */
        put: operations["set-key"];
        post?: never;
        /** Delete a key */
        delete: operations["delete-key"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Who am I */
        get: operations["get-me"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List projects */
        get: operations["list-projects"];
        put?: never;
        /** Create a project */
        post: operations["create-project"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show a project */
        get: operations["get-project"];
        put?: never;
        post?: never;
        /** Delete a project with its jobs and nodes */
        delete: operations["delete-project"];
        options?: never;
        head?: never;
        /** Change a project */
        patch: operations["change-project"];
        trace?: never;
    };
    "/api/v1/projects/{project}/calendars": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List calendars by name */
        get: operations["list-calendars"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/calendars/{calendar}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show a calendar */
        get: operations["get-calendar"];
        /** Make or replace a calendar; schedules that go by it find their next fire anew */
        put: operations["set-calendar"];
        post?: never;
        /** Delete a calendar that no job goes by */
        delete: operations["delete-calendar"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/executions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Run a command or script on nodes */
        post: operations["run-command"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/export/jobs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Download all jobs as a Rundeck YAML file */
        get: operations["export-jobs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/fires": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The last fires of a project that were missed or failed */
        get: operations["list-unstarted-fires"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/jobs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List jobs by group and name */
        get: operations["list-jobs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/jobs/import": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Create or update jobs from a Rundeck YAML file, all or none */
        post: operations["import-jobs"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/jobs/{job}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show a job */
        get: operations["get-job"];
        put?: never;
        post?: never;
        /** Delete a job; its executions stay */
        delete: operations["delete-job"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/jobs/{job}/executions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Run a job */
        post: operations["run-job"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/jobs/{job}/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Download a job as a Rundeck YAML file */
        get: operations["export-job"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/jobs/{job}/fires": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Coming fires of a job, and what became of past ones */
        get: operations["list-fires"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/jobs/{job}/schedule/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Stop the schedule of a job */
        post: operations["pause-schedule"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/jobs/{job}/schedule/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Let the schedule of a job go on from now */
        post: operations["resume-schedule"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/nodes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List nodes, all or those that match a filter */
        get: operations["list-nodes"];
        /** Replace all nodes by those of a file */
        put: operations["import-nodes"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/nodes/{node}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show a node */
        get: operations["get-node"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/nodes/{node}/hostkeys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the SSH host keys seen of a node */
        get: operations["list-host-keys"];
        put?: never;
        /** Choose the one SSH host key of a node */
        post: operations["accept-host-key"];
        /** Forget the SSH host keys of a node, so that the next contact records them anew */
        delete: operations["forget-host-keys"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{project}/retention": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What the retention of a project would take away now */
        get: operations["get-retention"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/quota": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How much log may be held, and is */
        get: operations["get-quota"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Say how much log may be held and printed */
        patch: operations["change-quota"];
        trace?: never;
    };
    "/api/v1/runners": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List runners */
        get: operations["list-runners"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runners/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List enrolment tokens, newest first */
        get: operations["list-runner-tokens"];
        put?: never;
        /** Create a one-use enrolment token */
        post: operations["create-runner-token"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runners/tokens/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revoke an enrolment token */
        delete: operations["revoke-runner-token"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runners/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show a runner */
        get: operations["get-runner"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Change a runner's name, tags and projects */
        patch: operations["change-runner"];
        trace?: never;
    };
    "/api/v1/runners/{id}/drain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Give a runner no more work; release ends it */
        post: operations["drain-runner"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runners/{id}/release": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Give a quarantined or drained runner work again */
        post: operations["release-runner"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runners/{id}/revoke": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Refuse a runner for ever */
        post: operations["revoke-runner"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/schedules": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the schedules of jobs, and when they fire */
        get: operations["list-schedules"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Sign in by password or link */
        post: operations["create-session"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/current": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Sign out */
        delete: operations["delete-session"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List own API tokens */
        get: operations["list-tokens"];
        put?: never;
        /** Create an API token */
        post: operations["create-token"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/tokens/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Delete an own API token */
        delete: operations["delete-token"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        AcceptHostKey: {
            /** @description As listed */
            key: string;
        };
        Archive: {
            /**
             * Format: int64
             * @description Those of them that failed, and are tried again
             */
            failing: number;
            /** @description Why the last try failed; for administrators */
            lastError?: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            lastErrorAt?: string;
            /**
             * Format: date-time
             * @description When the execution ended whose log waits longest
             * @example 2026-11-22T15:04:05.123Z
             */
            oldestAt?: string;
            url: string;
            /**
             * Format: int64
             * @description Logs that wait to be archived
             */
            waiting: number;
            /**
             * Format: int64
             * @description Bytes of text in them
             */
            waitingBytes: number;
        };
        AwaitedRunner: {
            id: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            lastSeenAt?: string;
            name: string;
        };
        Calendar: {
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            createdAt: string;
            /** @description 2026-12-24, 12-25, SAT, or a range: 12-24..01-01 */
            days: string[];
            description: string;
            /** @description group/name of the jobs that go by it */
            jobs: string[];
            /**
             * @description exclude: not on the days; only: on no other
             * @enum {string}
             */
            mode: "exclude" | "only";
            name: string;
            /** Format: int64 */
            revision: number;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            updatedAt: string;
        };
        CalendarList: {
            items: components["schemas"]["Calendar"][];
            next?: string;
        };
        CancelExecution: {
            /** @description Names of nodes; absent: the whole execution */
            nodes?: string[];
        };
        Cluster: {
            /** @description Where the logs of ended executions are packed to; none: they stay in the database */
            archive?: components["schemas"]["Archive"];
            /** @enum {string} */
            database: "sqlite" | "postgres";
            /**
             * @description Passive: no schedule fires on any member
             * @enum {string}
             */
            executionMode: "active" | "passive";
            id: string;
            /** Format: int64 */
            incarnation: number;
            /** @description Work that one member does for all */
            leases: components["schemas"]["LeaderLease"][];
            members: components["schemas"]["Member"][];
            /** @enum {string} */
            mode: "active-active" | "active-passive";
            /** @description How much log may be held, and is */
            quota: components["schemas"]["Quota"];
            /** @description While work is held because the database went back in time, or is being moved */
            recovery?: components["schemas"]["Recovery"];
            /** @description What was taken away of executions whose retention is over */
            retention: components["schemas"]["PurgeRun"];
            /**
             * Format: int64
             * @description Of the lease clock, about one a second
             */
            tick: number;
            /**
             * Format: date-time
             * @description Database time
             * @example 2026-11-22T15:04:05.123Z
             */
            time: string;
        };
        ClusterChange: {
            /** @enum {string} */
            executionMode: "active" | "passive";
        };
        CreatedRunnerToken: {
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            createdAt: string;
            createdBy: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            expiresAt: string;
            /** @description Address for --hub, when a public one is configured */
            hubUrl?: string;
            id: string;
            /** @description Names; empty: all */
            projects: string[];
            /** @description The runner that enrolled with it */
            runnerId?: string;
            /** @enum {string} */
            state: "open" | "used" | "expired" | "revoked";
            tags: string[];
            /** @description For fairlead-runner enroll; pins the hub's CA; never shown again */
            token: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            usedAt?: string;
        };
        CreatedToken: {
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            createdAt: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            expiresAt?: string;
            id: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            lastUsedAt?: string;
            name: string;
            /** @description What goes into the Authorization header; never shown again */
            secret: string;
        };
        Enrolment: {
            /** @description CA certificates, PEM; compare with the pin of the token */
            caPem: string;
            clusterId: string;
            /** @description host:port of every gateway */
            gateways: string[];
        };
        Event: {
            /** @description Name of a calendar that was made, changed or deleted */
            calendar?: string;
            execution?: components["schemas"]["Execution"];
            /** @description Of execution and node_steps: the matrix changed */
            executionId?: string;
            /** @description A fire of a schedule that was missed or failed */
            fire?: components["schemas"]["Fire"];
            /** @description Of fire: the job that was due */
            job?: components["schemas"]["JobSummary"];
            /** @description Of calendar: the project that it is of */
            project?: string;
            runner?: components["schemas"]["Runner"];
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            time: string;
            /** @enum {string} */
            type: "hello" | "execution" | "node_steps" | "runner" | "fire" | "calendar";
        };
        Execution: {
            cancelRequested: boolean;
            cancelledBy?: string;
            /** @description What an ad-hoc command was, to run it again; only of a single execution */
            command?: components["schemas"]["RunCommand"];
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            createdAt: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            endedAt?: string;
            id: string;
            job?: components["schemas"]["ExecutionJob"];
            keepgoing: boolean;
            /** @description Retention leaves it */
            kept: boolean;
            /** @description Whether every line is stored */
            logComplete: boolean;
            /** @description group/name of the job, or the command's first words */
            name: string;
            /** @description Only of a single execution, as is what follows up to steps */
            nodeFilter?: string;
            /** @description How many nodes are in which state */
            nodes: {
                [key: string]: number;
            };
            /** @description Of the nodes that the filter selects, the start named these; to run it again, name them too */
            nodesNamed?: boolean;
            /**
             * Format: int64
             * @description Unique in the installation, never used again
             */
            number: number;
            /** @description Plain values; only of a single execution */
            options?: {
                [key: string]: string;
            };
            /** @description Known before status is final, while the log settles */
            outcome?: components["schemas"]["Status"];
            project: string;
            /** @description Why it ended before anything of it started */
            reason?: string;
            /** @description The database had lost it; it is shown as runners had it on their disks */
            recovered?: boolean;
            /**
             * Format: date-time
             * @description When it was asked to start, if not at once
             * @example 2026-11-22T15:04:05.123Z
             */
            runAt?: string;
            /** @description Names of secure options that had a value */
            secureOptions?: string[];
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            startedAt?: string;
            startedBy: string;
            status: components["schemas"]["Status"];
            /** @description Columns of the matrix; only of a single execution */
            steps?: components["schemas"]["ExecutionStep"][];
            /** @enum {string} */
            strategy?: "node-first" | "sequential";
            /** Format: int64 */
            threadcount?: number;
            /** Format: int64 */
            timeoutMs?: number;
            /** @description Page of this execution */
            url: string;
            waitingFor?: components["schemas"]["WaitingFor"];
        };
        ExecutionJob: {
            group: string;
            id: string;
            name: string;
            /** Format: int64 */
            revision: number;
        };
        ExecutionList: {
            items: components["schemas"]["Execution"][];
            next?: string;
        };
        ExecutionNode: {
            node: string;
            /**
             * Format: int64
             * @description In rank order, from 0
             */
            position: number;
            /** @description The runner that has it */
            runnerId?: string;
            /** @description Folded over its steps */
            status: components["schemas"]["Status"];
            /** @description Its cells; what has none is queued */
            steps: components["schemas"]["StepOn"][];
        };
        ExecutionNodeList: {
            items: components["schemas"]["ExecutionNode"][];
            next?: string;
            /** Format: int64 */
            total: number;
        };
        ExecutionStep: {
            /**
             * Format: int64
             * @description Position of the step that this one is the error handler of
             */
            handlerOf?: number;
            /** @enum {string} */
            kind: "exec" | "script";
            label: string;
            /**
             * Format: int64
             * @description From 0, as in cells and log lines
             */
            position: number;
        };
        FieldProblem: {
            message: string;
            /** @description Where, e.g. body.routes[0].filter */
            path: string;
        };
        Fire: {
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            at: string;
            executionId?: string;
            /** @description Why it was missed or failed */
            reason?: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            recordedAt: string;
            /** @enum {string} */
            status: "started" | "missed" | "failed";
        };
        Fires: {
            /** @description The earliest first */
            coming: string[];
            /** @description The newest first */
            past: components["schemas"]["Fire"][];
            /** @description What calendars take out between now and the last that comes; at most 100 */
            takenOut: components["schemas"]["TakenOut"][];
            timeZone: string;
            /** @description Why nothing comes */
            whyNot?: string;
        };
        HoldCluster: {
            /**
             * @description planned: the database is about to be moved; restored: a backup was put back
             * @enum {string}
             */
            kind: "planned" | "restored";
            reason?: string;
        };
        HostKey: {
            /** @description SHA256:..., as ssh-keygen -l shows it */
            fingerprint: string;
            /** @description In the form of authorized_keys */
            key: string;
            /** @description Who saw it first */
            runnerId?: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            seenAt: string;
            /**
             * @description A node with a key in conflict is refused until a person accepts one
             * @enum {string}
             */
            state: "accepted" | "conflict";
            type: string;
        };
        HostKeyList: {
            items: components["schemas"]["HostKey"][];
            next?: string;
        };
        ImportedJob: {
            group: string;
            /** @description Absent in a dry run of a new job */
            id?: string;
            name: string;
            /**
             * Format: int64
             * @description Revision that an update took the place of; it is kept
             */
            replaced?: number;
            /** @enum {string} */
            result: "created" | "updated" | "unchanged";
            /**
             * Format: int64
             * @description Of the job after the import
             */
            revision: number;
            uuid?: string;
        };
        Job: {
            /**
             * Format: int64
             * @description How many of its executions may run at once, more wait for their turn; 0: any number
             */
            atOnce: number;
            /** @description Names of the calendars that its schedule goes by */
            calendars: string[];
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            createdAt: string;
            description: string;
            /** @description Every run is refused (executionEnabled: false) */
            disabled: boolean;
            dispatch: components["schemas"]["JobDispatch"];
            /** @description e.g. ops/nightly; empty for none */
            group: string;
            id: string;
            /** @description Go on with the next step after a failure */
            keepgoing: boolean;
            logLevel: string;
            name: string;
            options: components["schemas"]["JobOption"][];
            project: string;
            /** Format: int64 */
            revision: number;
            runnerTags: string[];
            /** Format: int64 */
            runnerTimeoutMs?: number;
            schedule?: components["schemas"]["JobSchedule"];
            /** @description The definition as a Rundeck YAML document */
            source: string;
            steps: components["schemas"]["JobStep"][];
            /** @enum {string} */
            strategy: "node-first" | "sequential";
            /** @description As written: 120, 6h 30m, ${option.t} */
            timeout?: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            updatedAt: string;
            /** @description The identity that job files carry */
            uuid: string;
        };
        JobDispatch: {
            /** @description A run may give its own filter */
            editable: boolean;
            excludePrecedence: boolean;
            filter?: string;
            filterExclude?: string;
            keepgoing: boolean;
            /** @description Whether it is sent to nodes; else it runs on the runner's own host */
            nodes: boolean;
            rankAttribute?: string;
            rankDescending: boolean;
            successOnEmpty: boolean;
            /** @description As written: a number or an option */
            threadcount?: string;
        };
        JobFire: {
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            at: string;
            executionId?: string;
            group: string;
            jobId: string;
            name: string;
            /** @description Why it was missed or failed */
            reason?: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            recordedAt: string;
            /** @enum {string} */
            status: "started" | "missed" | "failed";
        };
        JobFireList: {
            items: components["schemas"]["JobFire"][];
        };
        JobImport: {
            dryRun: boolean;
            items: components["schemas"]["ImportedJob"][];
            /** @description What was taken without effect */
            warnings: components["schemas"]["FieldProblem"][];
        };
        JobList: {
            items: components["schemas"]["JobSummary"][];
            next?: string;
        };
        JobOption: {
            delimiter?: string;
            description?: string;
            /** @description Only values of the list */
            enforced: boolean;
            hidden: boolean;
            label?: string;
            multivalued: boolean;
            name: string;
            regex?: string;
            required: boolean;
            secure: boolean;
            /** @description Key that a secure option takes its value from */
            storagePath?: string;
            /** @description Default; never of a secure option */
            value?: string;
            valueExposed: boolean;
            /** @description To choose from */
            values?: string[];
        };
        JobSchedule: {
            enabled: boolean;
            /** @description Quartz of 6 or 7 fields, or cron of 5 */
            expression: string;
            /**
             * @description What becomes of fires that no member was there for
             * @enum {string}
             */
            missed: "skip" | "once" | "all";
            /** @description IANA name; the project's, else UTC, without */
            timeZone?: string;
        };
        JobStep: {
            args?: string;
            continueOnUnknown: boolean;
            description?: string;
            /** @description Runs under a supervisor on the node, where that is reached over SSH */
            detached: boolean;
            errorHandler?: components["schemas"]["JobStep"];
            exec?: string;
            idempotent: boolean;
            interpreter?: string;
            /** @enum {string} */
            kind: "exec" | "script";
            /** @description The description, else the command's or script's first line */
            label: string;
            /**
             * Format: int64
             * @description From 1
             */
            position: number;
            probe?: string;
            /** Format: int64 */
            retries: number;
            /** Format: int64 */
            retryDelayMs?: number;
            script?: string;
            /** Format: int64 */
            timeoutMs?: number;
        };
        JobSummary: {
            description: string;
            /** @description e.g. ops/nightly; empty for none */
            group: string;
            id: string;
            name: string;
            project: string;
            /** Format: int64 */
            revision: number;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            updatedAt: string;
            /** @description The identity that job files carry */
            uuid: string;
        };
        Key: {
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            createdAt: string;
            createdBy?: string;
            /** @description e.g. keys/project/web/deploy */
            path: string;
            /** Format: int64 */
            revision: number;
            /** Format: int64 */
            size: number;
            /** @enum {string} */
            type: "private-key" | "public-key" | "password";
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            updatedAt: string;
        };
        KeyList: {
            items: components["schemas"]["Key"][];
            next?: string;
        };
        LeaderLease: {
            /** @description Whether the lease is not over */
            held: boolean;
            /** @description Name of the member, or its id when it has left */
            holder: string;
            name: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            takenAt: string;
            /**
             * Format: int64
             * @description Rises with each holder
             */
            term: number;
        };
        LogEnd: {
            /** @description Where to go on */
            cursor: string;
            logComplete: boolean;
            /** @description Whether stored lines follow after cursor */
            more: boolean;
            outcome?: components["schemas"]["Status"];
            status: components["schemas"]["Status"];
        };
        LogFailure: {
            /** @description Id of the attempt that it is of */
            attempt: string;
            /** @description Position in front of the first line that it printed; absent when it printed nothing */
            before?: string;
            /**
             * Format: int64
             * @description Exit code, when it exited
             */
            code?: number;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            endedAt: string;
            /** @description The last lines that it printed, without terminal sequences */
            last: components["schemas"]["LogLine"][];
            /**
             * Format: int64
             * @description Number of that line within its attempt, from 0
             */
            line: number;
            message?: string;
            node: string;
            status: components["schemas"]["Status"];
            /**
             * Format: int64
             * @description Position of the step, from 0; an error handler stands behind all steps
             */
            step: number;
            /** Format: int64 */
            try: number;
        };
        LogLine: {
            /** @description Position after this line: give it as cursor to go on behind it */
            cursor: string;
            /** @description The bytes themselves, when they are not valid UTF-8 */
            data?: string;
            /**
             * Format: int64
             * @description Number of the line within its attempt, from 0
             */
            line: number;
            /** @description A secret was replaced */
            masked?: boolean;
            node: string;
            /** @description No newline follows: the line goes on in the next piece of this cell and stream, or ended without one */
            partial?: boolean;
            /**
             * Format: int64
             * @description Position of the step, from 0
             */
            step: number;
            /** @enum {string} */
            stream: "stdout" | "stderr" | "system";
            /** @description Without its newline; invalid UTF-8 replaced */
            text: string;
            /**
             * Format: date-time
             * @description By the runner's clock
             * @example 2026-11-22T15:04:05.123Z
             */
            time: string;
            /** @description A limit dropped bytes */
            truncated?: boolean;
            /** Format: int64 */
            try: number;
        };
        LogMatch: {
            /** @description Lines in front of it, without terminal sequences */
            ahead?: components["schemas"]["LogLine"][];
            /** @description Id of the attempt that the line is of */
            attempt: string;
            /** @description Position in front of the line */
            before: string;
            /** @description Lines behind it, without terminal sequences */
            behind?: components["schemas"]["LogLine"][];
            /** @description Position after the line */
            cursor: string;
            /** @description The line is longer than its parts */
            cut?: boolean;
            /**
             * Format: int64
             * @description Number of the line within its attempt, from 0
             */
            line: number;
            node: string;
            /** @description The text of the line without colours and other terminal sequences, of a long one what stands around the first match */
            parts: components["schemas"]["LogPart"][];
            /** Format: int64 */
            step: number;
            /** @enum {string} */
            stream: "stdout" | "stderr" | "system";
            /**
             * Format: date-time
             * @description By the runner's clock
             * @example 2026-11-22T15:04:05.123Z
             */
            time: string;
            /** Format: int64 */
            try: number;
        };
        LogMessage: {
            end?: components["schemas"]["LogEnd"];
            lines?: components["schemas"]["LogLine"][];
            /** @enum {string} */
            type: "lines" | "end";
        };
        LogPart: {
            match?: boolean;
            text: string;
        };
        LogSearch: {
            items: components["schemas"]["LogMatch"][];
            /**
             * Format: int64
             * @description How many lines of the log are stored
             */
            lines: number;
            /** @description Give it as cursor for what follows; absent when all that is stored was looked through */
            next?: string;
            /**
             * Format: int64
             * @description How many lines of the log were looked through so far, on this page and those before
             */
            reached: number;
        };
        Me: {
            admin: boolean;
            /** @description Id of the user */
            id: string;
            /** @description Name of the member that answered */
            member: string;
            /**
             * @description What proved it
             * @enum {string}
             */
            method: "session" | "token";
            name: string;
            /** @description Address that people and runners are shown, when one is configured */
            publicUrl?: string;
            /**
             * Format: date-time
             * @description The hub's clock, for elapsed times
             * @example 2026-11-22T15:04:05.123Z
             */
            time: string;
            /** @description Version of the hub */
            version: string;
        };
        Member: {
            /** @description In an active-passive cluster: whether it is the active one */
            active: boolean;
            address: string;
            draining: boolean;
            /** @enum {string} */
            executionMode: "active" | "passive";
            gateway: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            heartbeatAt: string;
            id: string;
            name: string;
            roles: string[];
            /** @description Whether this member answered */
            self: boolean;
            /**
             * Format: int64
             * @description Runners that it serves
             */
            sessions: number;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            startedAt: string;
            /** @enum {string} */
            state: "active" | "inactive" | "dead";
            version: string;
        };
        MemberChange: {
            /** @description Runners and people go elsewhere */
            draining?: boolean;
            /**
             * @description Passive: no schedule fires on this member
             * @enum {string}
             */
            executionMode?: "active" | "passive";
        };
        NewProject: {
            description?: string;
            name: string;
            routes?: components["schemas"]["Route"][];
            settings?: {
                [key: string]: string;
            };
        };
        NewRunnerToken: {
            /** @description Names of the projects the runner will serve; absent: all */
            projects?: string[];
            tags?: string[];
            /**
             * Format: int64
             * @description Life in milliseconds; 1 h when absent
             */
            ttlMs?: number;
        };
        NewToken: {
            name: string;
            /**
             * Format: int64
             * @description Life in milliseconds; 90 days when absent
             */
            ttlMs?: number;
        };
        Node: {
            attributes: {
                [key: string]: string;
            };
            description: string;
            hostname: string;
            name: string;
            tags: string[];
            username: string;
        };
        NodeImport: {
            /** Format: int64 */
            added: number;
            /**
             * Format: int64
             * @description How many the project has now
             */
            nodes: number;
            /** Format: int64 */
            removed: number;
            /**
             * Format: int64
             * @description Of the inventory now
             */
            revision: number;
            /** @description What was taken without effect */
            warnings: components["schemas"]["FieldProblem"][];
        };
        NodeList: {
            items: components["schemas"]["Node"][];
            next?: string;
            /**
             * Format: int64
             * @description Rises with each import of nodes
             */
            revision: number;
            /**
             * Format: int64
             * @description How many match in all
             */
            total: number;
        };
        Problem: {
            /**
             * @description What kind of error; stable
             * @enum {string}
             */
            code: "invalid" | "not_found" | "conflict" | "unauthenticated" | "forbidden" | "unavailable" | "exhausted" | "quota_exceeded" | "internal";
            /** @description What happened, to what, and what to do; for people */
            detail: string;
            /** @description Everything wrong with the input, at once */
            errors?: components["schemas"]["FieldProblem"][];
            /**
             * Format: int64
             * @description The HTTP status
             */
            status: number;
            /** @description The HTTP status in words */
            title: string;
            /** @description Always about:blank; code says more */
            type: string;
        };
        Project: {
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            createdAt: string;
            description: string;
            id: string;
            name: string;
            /** @description How long its ended executions stay, by its settings and the hub's */
            retention: components["schemas"]["Retention"];
            /** Format: int64 */
            revision: number;
            /** @description Which runners serve which nodes; the first match decides */
            routes: components["schemas"]["Route"][];
            /** @description Defaults that nodes override, under Rundeck's attribute names */
            settings: {
                [key: string]: string;
            };
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            updatedAt: string;
        };
        ProjectChange: {
            description?: string;
            /** @description All routes, not only changed ones */
            routes?: components["schemas"]["Route"][];
            /** @description All settings, not only changed ones */
            settings?: {
                [key: string]: string;
            };
        };
        ProjectList: {
            items: components["schemas"]["Project"][];
            next?: string;
        };
        Promotion: {
            /** @description Name or id */
            member: string;
        };
        PurgeRun: {
            /**
             * Format: int64
             * @description Of text in their logs
             */
            bytes: number;
            /**
             * Format: int64
             * @description Executions that nobody sees any more and that are not deleted yet
             */
            deleting: number;
            /**
             * Format: date-time
             * @description None before the first one
             * @example 2026-11-22T15:04:05.123Z
             */
            endedAt?: string;
            /**
             * Format: int64
             * @description That it took away
             */
            executions: number;
            /** @description What it could not do, and tries again; for administrators */
            lastError?: string;
        };
        Quota: {
            /**
             * Format: date-time
             * @description When that was; none before the first count
             * @example 2026-11-22T15:04:05.123Z
             */
            countedAt?: string;
            /**
             * Format: int64
             * @description Bytes that the commands of one execution may print: over it they are halted; 0: no limit
             */
            executionLogBytes: number;
            /**
             * Format: int64
             * @description Bytes of text that all logs may have together: over it nothing starts; 0: no limit
             */
            logBytes: number;
            /** @description 90 % of logBytes are reached */
            near: boolean;
            /** @description Nothing starts */
            over: boolean;
            /** Format: int64 */
            revision: number;
            /**
             * Format: int64
             * @description Bytes of text that all logs had when they were counted
             */
            usedBytes: number;
        };
        QuotaChange: {
            /**
             * Format: int64
             * @description At least 1048576, or 0 for no limit
             */
            executionLogBytes?: number;
            /**
             * Format: int64
             * @description At least 1048576, or 0 for no limit
             */
            logBytes?: number;
        };
        Recovery: {
            /** @description Runners that may have had work and have not shown what is on their disks */
            awaited: components["schemas"]["AwaitedRunner"][];
            /**
             * Format: int64
             * @description How many executions wait
             */
            held: number;
            /**
             * @description promotion: new executions go on; restore: they wait; planned: they are refused
             * @enum {string}
             */
            kind: "promotion" | "restore" | "planned";
            /** @description What showed it, for people */
            reason: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            since: string;
        };
        ReleaseCluster: {
            /**
             * @description What becomes of what is still held: it goes on, or it ends as unknown
             * @enum {string}
             */
            rest: "release" | "fail";
        };
        Retention: {
            /**
             * Format: int64
             * @description Bytes of text in the logs of the project
             */
            bytes: number;
            /**
             * Format: double
             * @description Since the end
             */
            days: number;
            /**
             * Format: int64
             * @description How many of each job stay
             */
            executions: number;
            /**
             * Format: double
             * @description The same for failures; 0: as all others
             */
            failedDays: number;
        };
        RetentionPlan: {
            /**
             * Format: int64
             * @description Bytes of text in the logs of the project
             */
            bytes: number;
            /**
             * Format: double
             * @description Since the end
             */
            days: number;
            /**
             * Format: int64
             * @description Ended executions there are
             */
            ended: number;
            /**
             * Format: int64
             * @description How many of each job stay
             */
            executions: number;
            /**
             * Format: double
             * @description The same for failures; 0: as all others
             */
            failedDays: number;
            /**
             * Format: int64
             * @description Those of them that a person keeps
             */
            kept: number;
            /**
             * Format: int64
             * @description Executions that go with the next pass
             */
            removes: number;
            /**
             * Format: int64
             * @description Bytes of text in their logs
             */
            removesBytes: number;
            /**
             * Format: date-time
             * @description When the first of them ended
             * @example 2026-11-22T15:04:05.123Z
             */
            removesFromAt?: string;
            /**
             * Format: date-time
             * @description When the last of them ended
             * @example 2026-11-22T15:04:05.123Z
             */
            removesToAt?: string;
        };
        Route: {
            /** @description A node filter; empty matches all */
            filter: string;
            tags: string[];
        };
        RunCommand: {
            /** @description Arguments of the script */
            args?: string;
            /** @description A command line; exactly one of command and script */
            command?: string;
            interpreter?: string;
            /** @description Go on with other nodes after a failure */
            keepgoing?: boolean;
            /** @description Which nodes; absent: the runner's own host */
            nodeFilter?: string;
            /** @description Of the nodes that the filter gives, these alone */
            nodes?: string[];
            /**
             * Format: date-time
             * @description When it is to start, with an offset, within a year; nodes are found then. Now when absent
             * @example 2026-11-22T15:04:05.123Z
             */
            runAt?: string;
            script?: string;
            /**
             * Format: int64
             * @description Nodes at once; 1 when absent
             */
            threadcount?: number;
            /** Format: int64 */
            timeoutMs?: number;
        };
        RunJob: {
            /** @description In place of the job's, for nodes */
            keepgoing?: boolean;
            /** @description In place of the job's, where the job allows it */
            nodeFilter?: string;
            /** @description Of the nodes that the filter gives, these alone: to run again where it failed */
            nodes?: string[];
            /** @description Values by option name; several values joined by the option's delimiter */
            options?: {
                [key: string]: string;
            };
            /**
             * Format: date-time
             * @description When it is to start, with an offset, within a year; nodes are found then. Now when absent
             * @example 2026-11-22T15:04:05.123Z
             */
            runAt?: string;
            /**
             * Format: int64
             * @description In place of the job's
             */
            threadcount?: number;
        };
        Runner: {
            arch?: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            certificateExpiresAt?: string;
            connected: boolean;
            /** @description It gets no more work until released */
            draining: boolean;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            enrolledAt: string;
            hostname?: string;
            id: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            lastSeenAt?: string;
            /**
             * Format: int64
             * @description How many it holds now
             */
            live: number;
            name: string;
            os?: string;
            /** @description Names of the projects it serves; empty: all */
            projects: string[];
            /** @description Why it gets no work until released */
            quarantined?: string;
            /** Format: int64 */
            revision: number;
            /**
             * Format: int64
             * @description How many attempts it takes at once
             */
            slots: number;
            /** @enum {string} */
            state: "connected" | "draining" | "disconnected" | "quarantined" | "revoked";
            tags: string[];
            version?: string;
        };
        RunnerChange: {
            name?: string;
            /** @description Names; empty: all */
            projects?: string[];
            tags?: string[];
        };
        RunnerList: {
            items: components["schemas"]["Runner"][];
            next?: string;
        };
        RunnerToken: {
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            createdAt: string;
            createdBy: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            expiresAt: string;
            id: string;
            /** @description Names; empty: all */
            projects: string[];
            /** @description The runner that enrolled with it */
            runnerId?: string;
            /** @enum {string} */
            state: "open" | "used" | "expired" | "revoked";
            tags: string[];
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            usedAt?: string;
        };
        RunnerTokenList: {
            items: components["schemas"]["RunnerToken"][];
            next?: string;
        };
        Schedule: {
            /** @description Names of the calendars that it goes by */
            calendars: string[];
            expression: string;
            group: string;
            jobId: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            lastFireAt?: string;
            /** @enum {string} */
            missed: "skip" | "once" | "all";
            name: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            nextFireAt?: string;
            /** @description By a person */
            paused: boolean;
            project: string;
            /** @description The zone that it is read in: the job's, the project's or UTC */
            timeZone: string;
            /** @description Why it does not fire; empty when it does */
            whyNot?: string;
        };
        ScheduleList: {
            items: components["schemas"]["Schedule"][];
            next?: string;
        };
        SetCalendar: {
            /** @description 2026-12-24, 12-25, SAT, or a range: 12-24..01-01 */
            days: string[];
            description?: string;
            /**
             * @description exclude: not on the days; only: on no other
             * @enum {string}
             */
            mode: "exclude" | "only";
        };
        SignIn: {
            /** @description Secret of a one-time sign-in link */
            link?: string;
            password?: string;
            user?: string;
        };
        /**
         * @description State of an execution, node or step
         * @enum {string}
         */
        Status: "scheduled" | "queued" | "running" | "cancelling" | "held" | "succeeded" | "failed" | "cancelled" | "timed_out" | "unknown" | "missed" | "skipped";
        StepOn: {
            /**
             * Format: int64
             * @description Exit status, if it exited
             */
            code?: number;
            data?: {
                [key: string]: string;
            };
            /** @description Whether nothing of it can still run */
            endProven: boolean;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            endedAt?: string;
            /** @description An end that came too late to count */
            lateStatus?: components["schemas"]["Status"];
            /** @description What happened, for people */
            message?: string;
            notStarted: boolean;
            /** @description Short word for an end that is not plain */
            reason?: string;
            signal?: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            startedAt?: string;
            status: components["schemas"]["Status"];
            /**
             * Format: int64
             * @description Position of the column, from 0
             */
            step: number;
            /** Format: int64 */
            try: number;
        };
        TakenOut: {
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            at: string;
            /** @description Name of the calendar */
            calendar: string;
        };
        Token: {
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            createdAt: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            expiresAt?: string;
            id: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            lastUsedAt?: string;
            name: string;
        };
        TokenList: {
            items: components["schemas"]["Token"][];
            next?: string;
        };
        WaitingFor: {
            /** @enum {string} */
            kind: "runner" | "queue" | "approval" | "schedule" | "recovery";
            message: string;
            /**
             * Format: date-time
             * @example 2026-11-22T15:04:05.123Z
             */
            since: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    "get-cluster": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Cluster"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "change-cluster": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ClusterChange"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Cluster"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "hold-cluster": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["HoldCluster"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Cluster"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "change-member": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                member: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MemberChange"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Cluster"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "promote-member": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Promotion"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Cluster"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "release-cluster": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ReleaseCluster"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Cluster"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-enrolment": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Enrolment"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-events": {
        parameters: {
            query?: {
                /** @description Stay and tell what changes, as NDJSON, one Event a line; without it: one hello */
                follow?: boolean;
                /** @description Executions of this project alone */
                project?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": string;
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-executions": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
                /** @description Any of these states */
                status?: string[];
                project?: string;
                /** @description Id of a job, or its name with a project */
                job?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExecutionList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-execution": {
        parameters: {
            query?: {
                /** @description Answer only when the execution is final, or after this long (30s, 5m; at most 10m) */
                wait?: string;
            };
            header?: never;
            path: {
                /** @description Id or number */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Execution"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "cancel-execution": {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeating a request with the same key gives the same answer, for 24 h */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description Id or number */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CancelExecution"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Execution"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "keep-execution": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or number */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Execution"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "unkeep-execution": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or number */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Execution"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-log": {
        parameters: {
            query?: {
                /** @description Lines of this node alone; repeated: of these */
                node?: string[];
                /** @description Lines of the step at this position alone, from 0, with its error handler; -1: all */
                step?: number;
                /** @description Lines of these streams alone; system is what the runner says about a step */
                stream?: ("stdout" | "stderr" | "system")[];
                /** @description Lines from this time on, by the runner's clock */
                since?: string;
                /** @description Lines before this time, by the runner's clock */
                until?: string;
                /** @description text: what the commands printed, byte for byte, but for a newline where another node prints into an unfinished line; ndjson: one LogLine a line, and at the end one line {"end": LogEnd}; html: a page that stands alone, as a terminal would show it, always as a file */
                format?: "text" | "ndjson" | "html";
                /** @description Stay until the execution has ended */
                follow?: boolean;
                /** @description Lines after this position */
                cursor?: string;
                /** @description Begin so many lines in front of the cursor, counted over what the other parameters leave */
                back?: number;
                /** @description First line, counted from 0 over what the other parameters leave */
                line?: number;
                /** @description How many lines at most; 0: all */
                lines?: number;
                /** @description The last so many lines alone */
                tail?: number;
                /** @description As a file to save, named after the job, the execution's number and the node */
                download?: boolean;
                /** @description A range of the text format, FIRST-LAST or FIRST-, from 0 */
                bytes?: string;
            };
            header?: never;
            path: {
                /** @description Id or number */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": string;
                    "text/html": string;
                    "text/plain": string;
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "export-log": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or number */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": string;
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-log-failure": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or number */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LogFailure"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "search-log": {
        parameters: {
            query: {
                /** @description Lines of this node alone; repeated: of these */
                node?: string[];
                /** @description Lines of the step at this position alone, from 0, with its error handler; -1: all */
                step?: number;
                /** @description Lines of these streams alone; system is what the runner says about a step */
                stream?: ("stdout" | "stderr" | "system")[];
                /** @description Lines from this time on, by the runner's clock */
                since?: string;
                /** @description Lines before this time, by the runner's clock */
                until?: string;
                /** @description What to look for */
                q: string;
                /** @description q is a regular expression in the syntax of RE2 */
                regex?: boolean;
                /** @description Capital and small letters are the same */
                ignoreCase?: boolean;
                /** @description How many lines to tell around each */
                context?: number;
                /** @description How many lines at most */
                limit?: number;
                /** @description Look behind this position */
                cursor?: string;
            };
            header?: never;
            path: {
                /** @description Id or number */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LogSearch"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-execution-nodes": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
                /** @description Any of these states */
                status?: string[];
            };
            header?: never;
            path: {
                /** @description Id or number */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExecutionNodeList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-keys": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
                /** @description Paths that begin with this */
                prefix?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeyList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-key": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Path of the key; the leading keys/ may be left out */
                path: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Key"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "set-key": {
        parameters: {
            query: {
                type: "private-key" | "public-key" | "password";
            };
            header?: {
                /** @description The ETag of what is changed; * for whatever is there */
                "If-Match"?: string;
                /** @description Repeating a request with the same key gives the same answer, for 24 h */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description Path of the key; the leading keys/ may be left out */
                path: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/octet-stream": string;
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Key"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "delete-key": {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what is changed; * for whatever is there */
                "If-Match"?: string;
            };
            path: {
                /** @description Path of the key; the leading keys/ may be left out */
                path: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Me"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-projects": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProjectList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "create-project": {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeating a request with the same key gives the same answer, for 24 h */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewProject"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    ETag?: string;
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Project"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-project": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Project"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "delete-project": {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what is changed; * for whatever is there */
                "If-Match"?: string;
            };
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "change-project": {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what is changed; * for whatever is there */
                "If-Match"?: string;
            };
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ProjectChange"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Project"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-calendars": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
            };
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CalendarList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-calendar": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
                /** @description Name of the calendar */
                calendar: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Calendar"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "set-calendar": {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what is changed; * for whatever is there */
                "If-Match"?: string;
                /** @description Repeating a request with the same key gives the same answer, for 24 h */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description Name or id of the project */
                project: string;
                /** @description Name of the calendar */
                calendar: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetCalendar"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Calendar"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "delete-calendar": {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what is changed; * for whatever is there */
                "If-Match"?: string;
            };
            path: {
                /** @description Name or id of the project */
                project: string;
                /** @description Name of the calendar */
                calendar: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "run-command": {
        parameters: {
            query?: {
                /** @description Answer only when the execution is final, or after this long (30s, 5m; at most 10m) */
                wait?: string;
            };
            header?: {
                /** @description Repeating a request with the same key gives the same answer, for 24 h */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RunCommand"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    ETag?: string;
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Execution"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "export-jobs": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/yaml": string;
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-unstarted-fires": {
        parameters: {
            query?: {
                /** @description How many at most */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobFireList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-jobs": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
                /** @description Part of group/name, any case */
                search?: string;
            };
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "import-jobs": {
        parameters: {
            query?: {
                /** @description Check and report, change nothing */
                dryRun?: boolean;
            };
            header?: {
                /** @description Repeating a request with the same key gives the same answer, for 24 h */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/yaml": string;
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobImport"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-job": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
                /** @description Id, group/name (escaped), or a name that is unique in the project */
                job: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Job"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "delete-job": {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what is changed; * for whatever is there */
                "If-Match"?: string;
            };
            path: {
                /** @description Name or id of the project */
                project: string;
                /** @description Id, group/name (escaped), or a name that is unique in the project */
                job: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "run-job": {
        parameters: {
            query?: {
                /** @description Answer only when the execution is final, or after this long (30s, 5m; at most 10m) */
                wait?: string;
            };
            header?: {
                /** @description Repeating a request with the same key gives the same answer, for 24 h */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description Name or id of the project */
                project: string;
                /** @description Id, group/name (escaped), or a name that is unique in the project */
                job: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RunJob"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    ETag?: string;
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Execution"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "export-job": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
                /** @description Id, group/name (escaped), or a name that is unique in the project */
                job: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/yaml": string;
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-fires": {
        parameters: {
            query?: {
                /** @description How many coming and how many past fires at most */
                count?: number;
            };
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
                /** @description Id, group/name (escaped), or a name that is unique in the project */
                job: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Fires"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "pause-schedule": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
                /** @description Id, group/name (escaped), or a name that is unique in the project */
                job: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Schedule"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "resume-schedule": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
                /** @description Id, group/name (escaped), or a name that is unique in the project */
                job: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Schedule"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-nodes": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
                /** @description A node filter; absent: all nodes */
                filter?: string;
                /** @description A node filter of nodes to leave out */
                exclude?: string;
            };
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NodeList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "import-nodes": {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what is changed; * for whatever is there */
                "If-Match"?: string;
                /** @description Repeating a request with the same key gives the same answer, for 24 h */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": string;
                "application/xml": string;
                "application/yaml": string;
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NodeImport"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-node": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Node"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-host-keys": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
            };
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HostKeyList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "accept-host-key": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
                node: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AcceptHostKey"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HostKeyList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "forget-host-keys": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-retention": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name or id of the project */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RetentionPlan"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-quota": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Quota"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "change-quota": {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what is changed; * for whatever is there */
                "If-Match"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["QuotaChange"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Quota"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-runners": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
                /** @description Revoked ones too */
                revoked?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RunnerList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-runner-tokens": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RunnerTokenList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "create-runner-token": {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeating a request with the same key gives the same answer, for 24 h */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewRunnerToken"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    ETag?: string;
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedRunnerToken"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "revoke-runner-token": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "get-runner": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id, or a name that is unique */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Runner"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "change-runner": {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag of what is changed; * for whatever is there */
                "If-Match"?: string;
            };
            path: {
                /** @description Id, or a name that is unique */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RunnerChange"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Runner"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "drain-runner": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id, or a name that is unique */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Runner"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "release-runner": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id, or a name that is unique */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Runner"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "revoke-runner": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id, or a name that is unique */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Runner"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-schedules": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
                /** @description Name or id of a project; all projects without */
                project?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ScheduleList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "create-session": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SignIn"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Me"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "delete-session": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "list-tokens": {
        parameters: {
            query?: {
                /** @description How many items at most */
                limit?: number;
                /** @description Where to go on: next of the page before */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TokenList"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "create-token": {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeating a request with the same key gives the same answer, for 24 h */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewToken"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    ETag?: string;
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedToken"];
                };
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    "delete-token": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Error */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
