/** Made from openapi.json; do not edit. */

export interface paths {
    "/api/v1/aggregate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Metrics of matching records by group */
        get: {
            parameters: {
                query?: {
                    from?: string;
                    /** @description Fields whose values make the groups, at most 8. */
                    group_by?: string[];
                    /** @description Also groups by time: `1m`, or milliseconds. */
                    interval?: string;
                    limit?: number;
                    /** @description At most 20; `count` if none. In a URL: `count,p95(duration_ms)`. */
                    metrics?: components["schemas"]["MetricParam"][];
                    /**
                     * @description A metric's or group's name or `start`, and `asc` or `desc`: `count desc`. Unless given: the first metric,
                     *     falling.
                     */
                    order?: string;
                    q?: string;
                    to?: string;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["AggregateAnswer"];
                    };
                };
            };
        };
        put?: never;
        /** As GET, with the parameters as members of a JSON object */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["AggregateParams"];
                };
            };
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["AggregateAnswer"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/context/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A record and what was logged around it */
        get: {
            parameters: {
                query?: {
                    after?: number;
                    before?: number;
                    /** @description Neighbours must share these with the record: `service`, `host` or both. */
                    same?: string;
                };
                header?: never;
                path: {
                    /** @description The record's id */
                    id: string;
                };
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["ContextAnswer"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/dead-letters": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A page of the project's dead letters; of all projects with `project=*` */
        get: {
            parameters: {
                query?: {
                    /** @description The `next_cursor` of the page before. */
                    cursor?: string;
                    limit?: number;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["DeadLettersAnswer"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/dead-letters/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One dead letter, whole */
        get: {
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
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["DeadLetterBody"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        /** Drops a dead letter for good; the ledger keeps count of it */
        delete: {
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
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                /** @description Dropped */
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/dead-letters/{id}/retry": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Sends a dead letter through the processor again; it keeps its id */
        post: {
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
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                /** @description It is in the queue */
                202: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Streams every matching record
         * @description CSV has a column for each record field, attributes and resource as JSON, and a `'` before cells that a spreadsheet
         *     would take for a formula. If the store fails on the way, the connection is broken off, so that a part is never
         *     taken for the whole.
         */
        get: {
            parameters: {
                query?: {
                    /** @description `ndjson`, `csv` or `parquet`. */
                    format?: string;
                    from?: string;
                    /** @description `desc` (newest first) or `asc`. */
                    order?: string;
                    q?: string;
                    to?: string;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                /** @description The records */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/vnd.apache.parquet": string;
                        "application/x-ndjson": string;
                        "text/csv": string;
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/fields": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The fields of matching records */
        get: {
            parameters: {
                query?: {
                    from?: string;
                    /** @description 1 000 fields or 100 values unless given. */
                    limit?: number;
                    q?: string;
                    to?: string;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["FieldsAnswer"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/fields/{name}/values": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The most frequent values of a field */
        get: {
            parameters: {
                query?: {
                    from?: string;
                    /** @description 1 000 fields or 100 values unless given. */
                    limit?: number;
                    q?: string;
                    to?: string;
                };
                header?: never;
                path: {
                    /** @description A record field, or the name of an attribute or resource value */
                    name: string;
                };
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["ValuesAnswer"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/histogram": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Matching records counted by time */
        get: {
            parameters: {
                query?: {
                    /** @description At most this many buckets of a round width. Not together with `interval`. */
                    buckets?: number;
                    from?: string;
                    /** @description A field whose values are counted apart. */
                    group_by?: string;
                    /** @description The width of a bucket: `1m`, or milliseconds. */
                    interval?: string;
                    q?: string;
                    to?: string;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["HistogramAnswer"];
                    };
                };
            };
        };
        put?: never;
        /** As GET, with the parameters as members of a JSON object */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["HistogramParams"];
                };
            };
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["HistogramAnswer"];
                    };
                };
            };
        };
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
        /** The keys of all projects */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["KeysAnswer"];
                    };
                };
            };
        };
        put?: never;
        /** Makes a key, for any project */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["NewKeyParams"];
                };
            };
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                201: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["NewKeyBody"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revokes a key for good */
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path: {
                    /** @description The key's id, not the key */
                    id: string;
                };
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                /** @description Revoked */
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/ledger": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What became of every record that was received, for the project; for all with `project=*` */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["LedgerAnswer"];
                    };
                };
            };
        };
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
        /** All projects for an admin, the caller's own for others */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["ProjectsAnswer"];
                    };
                };
            };
        };
        put?: never;
        /** Makes a project */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["NewProject"];
                };
            };
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                201: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["ProjectBody"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/queue/skip": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Gives up messages of the queue that do not read, so that the processor goes on behind them; the ledger counts them as lost */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["SkipRequest"];
                };
            };
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["DamageBody"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/replay": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Processes again what the queue holds of a time, and stores what is missing */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["ReplayRequest"];
                };
            };
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["ReplayAnswer"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/search": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One page of matching records, by time, then id */
        get: {
            parameters: {
                query?: {
                    /** @description The `next_cursor` of the page before. It brings the query, the order and the absolute times of page one. */
                    cursor?: string;
                    /** @description RFC 3339, epoch milliseconds, `now` or `-15m`. Included. */
                    from?: string;
                    limit?: number;
                    /** @description `desc` (newest first) or `asc`. */
                    order?: string;
                    /** @description The query; empty matches everything. */
                    q?: string;
                    /** @description As `from`. Excluded. */
                    to?: string;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["SearchAnswer"];
                    };
                };
            };
        };
        put?: never;
        /** As GET, with the parameters as members of a JSON object */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["SearchParams"];
                };
            };
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["SearchAnswer"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/session": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The session of this browser */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["SessionBody"];
                    };
                };
            };
        };
        put?: never;
        /** Signs in and sets the session's cookie */
        post: {
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
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["SessionBody"];
                    };
                };
            };
        };
        /** Ends the session */
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                /** @description Signed out */
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sql": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Runs one read-only statement over the project's `logs` */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["SqlParams"];
                };
            };
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["SqlAnswerBody"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Sizes, progress and health of the whole node */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["StatusAnswer"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/tail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Live records over a WebSocket
         * @description Send `{"q": "…"}`, again to change it; receive messages of the types `ready`, `records`, `dropped` and `error`.
         *     Programs send the key in a header, browsers their session cookie.
         */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                /** @description The WebSocket is open */
                101: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/verify": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Reads everything that is stored and proves that what was acknowledged is there once; takes its time */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["VerifyAnswer"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ingest": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Takes records as one JSON object, an array, or NDJSON
         * @description Served on the collector's port. `Content-Encoding`: gzip, zstd, deflate or snappy. After a 503 or a broken connection the outcome is unknown: repeat the request with the same `Idempotency-Key`.
         */
        post: {
            parameters: {
                query?: never;
                header?: {
                    /** @description A retry with the same key stores nothing twice and gets the first answer, for 24 hours */
                    "Idempotency-Key"?: string;
                };
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": unknown;
                };
            };
            responses: {
                /** @description Nothing of what it names is stored */
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                /** @description `{"accepted", "rejected", "errors": [{"index", "reason"}]}`, once every accepted record is durable */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
                /** @description Out of reach; see `Retry-After` */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/logs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Takes an OTLP `ExportLogsServiceRequest`, protobuf or JSON
         * @description Served on the collector's port. `Content-Encoding`: gzip, zstd, deflate or snappy. After a 503 or a broken connection the outcome is unknown: repeat the request with the same `Idempotency-Key`.
         */
        post: {
            parameters: {
                query?: never;
                header?: {
                    /** @description A retry with the same key stores nothing twice and gets the first answer, for 24 hours */
                    "Idempotency-Key"?: string;
                };
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/x-protobuf": unknown;
                };
            };
            responses: {
                /** @description Nothing of what it names is stored */
                "4XX": {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
                /** @description `ExportLogsServiceResponse` in the request's encoding, once every accepted record is durable */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
                /** @description Out of reach; see `Retry-After` */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/problem+json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        AggregateAnswer: {
            rows: components["schemas"]["AggregateRowBody"][];
            stats: components["schemas"]["StatsBody"];
        };
        /** @description What `aggregate` is asked. */
        AggregateParams: {
            from?: string | null;
            /** @description Fields whose values make the groups, at most 8. */
            group_by?: string[] | null;
            /** @description Also groups by time: `1m`, or milliseconds. */
            interval?: string | null;
            /** Format: int64 */
            limit?: number | null;
            /** @description At most 20; `count` if none. In a URL: `count,p95(duration_ms)`. */
            metrics?: components["schemas"]["MetricParam"][] | null;
            /**
             * @description A metric's or group's name or `start`, and `asc` or `desc`: `count desc`. Unless given: the first metric,
             *     falling.
             */
            order?: string | null;
            q?: string | null;
            to?: string | null;
        };
        AggregateRowBody: {
            /** @description The value of each field of `group_by`; null for records without it. JSON types are kept. */
            group: Record<string, unknown>;
            /** @description By name: `count`, `p95(duration_ms)`. Null where there was no value. */
            metrics: Record<string, unknown>;
            /**
             * Format: date-time
             * @description With `interval`: RFC 3339.
             */
            start?: string;
        };
        BucketBody: {
            /** Format: int64 */
            count: number;
            /** @description Counts by value, the 100 most frequent ones of the range. Records without the field are in `count` only. */
            groups?: {
                [key: string]: number;
            };
            /**
             * Format: date-time
             * @description A multiple of the interval since the Unix epoch, RFC 3339.
             */
            start: string;
        };
        /** @description Everything in the order of time, oldest first. */
        ContextAnswer: {
            after: components["schemas"]["Record"][];
            before: components["schemas"]["Record"][];
            record: components["schemas"]["Record"];
        };
        /** @description Messages of a partition that were stored and do not read. */
        DamageBody: {
            /** Format: int64 */
            from: number;
            /** @description What is wrong, and where. */
            reason: string;
            /**
             * Format: int64
             * @description Where reading can go on. Null when nobody can tell: then the queue must be restored.
             */
            to?: number | null;
        };
        DeadLetterBody: {
            /**
             * Format: date-time
             * @description When it was given up.
             */
            at: string;
            /** @description The record's id, kept through any retry. */
            id: string;
            /** @description Where its message stands in the queue. */
            incarnation: string;
            /** Format: int32 */
            index: number;
            /** Format: int32 */
            partition: number;
            /** @description What can't be decoded, base64; only when one letter is asked for. */
            payload?: string;
            /** Format: int64 */
            payload_bytes: number;
            /** Format: int64 */
            position: number;
            project: string;
            reason: string;
            /**
             * Format: date-time
             * @description When it was received.
             */
            received: string;
            record?: components["schemas"]["Record"] | null;
        };
        DeadLettersAnswer: {
            /**
             * Format: int64
             * @description All of them.
             */
            count: number;
            /** @description The latest first. */
            dead_letters: components["schemas"]["DeadLetterBody"][];
            /** @description Null on the last page. */
            next_cursor?: string | null;
        };
        FieldBody: {
            /**
             * Format: double
             * @description The share of matching records that have it, 0 to 1.
             */
            coverage: number;
            name: string;
            /** @description `string`, `int`, `double`, `bool`, `array` or `mixed`. */
            type: string;
        };
        FieldsAnswer: {
            /** @description By falling coverage, then name. */
            fields: components["schemas"]["FieldBody"][];
        };
        HistogramAnswer: {
            /** @description Every bucket of the range, empty ones too. */
            buckets: components["schemas"]["BucketBody"][];
            /** Format: int64 */
            interval_ms: number;
            stats: components["schemas"]["StatsBody"];
        };
        /** @description What `histogram` is asked. */
        HistogramParams: {
            /**
             * Format: int64
             * @description At most this many buckets of a round width. Not together with `interval`.
             */
            buckets?: number | null;
            from?: string | null;
            /** @description A field whose values are counted apart. */
            group_by?: string | null;
            /** @description The width of a bucket: `1m`, or milliseconds. */
            interval?: string | null;
            q?: string | null;
            to?: string | null;
        };
        /** @description A key without its secret. */
        KeyBody: {
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at?: string | null;
            id: string;
            /**
             * Format: date-time
             * @description Within a minute.
             */
            last_used_at?: string | null;
            name: string;
            /** @description The public part of the key, to tell keys apart. */
            prefix: string;
            project: string;
            scopes: string[];
        };
        KeysAnswer: {
            keys: components["schemas"]["KeyBody"][];
        };
        LedgerAnswer: {
            /** @description Whether every row adds up: received = stored + dead-lettered + deduplicated + dropped. */
            balanced: boolean;
            /** @description Sums for each project and partition of each queue that ever was. */
            ledger: components["schemas"]["LedgerRow"][];
            /** @description What each partition of the queue that is now holds, and how far it is stored. */
            partitions: components["schemas"]["PartitionBody"][];
        };
        /** @description What became of the records of a partition and project. */
        LedgerRow: {
            /** Format: int64 */
            dead_lettered: number;
            /** Format: int64 */
            deduplicated: number;
            /**
             * Format: int64
             * @description By a rule of the operator.
             */
            dropped: number;
            /**
             * Format: int64
             * @description Stored rows that retention removed since; in rows of their own with partition 0.
             */
            expired: number;
            /** @description The queue's identity. */
            incarnation: string;
            /**
             * Format: int64
             * @description Messages that the queue held but could not give any more: dropped unread, or passed over because they are
             *     damaged. They were never received; their project is unknown, so their rows have an empty one and come with
             *     `project=*` only.
             */
            lost: number;
            /** Format: int32 */
            partition: number;
            project: string;
            /** Format: int64 */
            received: number;
            /** Format: int64 */
            stored: number;
        };
        /** @description A metric. */
        MetricParam: {
            /** @description All but `count` need one; `count` then counts the records that have it. */
            field?: string | null;
            /** @description `count`, `sum`, `avg`, `min`, `max`, `distinct`, or `p1` to `p99`. */
            fn: string;
        };
        /** @description A key just made. */
        NewKeyBody: components["schemas"]["KeyBody"] & {
            /** @description The key itself, told this once. */
            key: string;
        };
        NewKeyParams: {
            /** @description RFC 3339 or epoch milliseconds; never unless given. */
            expires_at?: string | null;
            name: string;
            /** @description The caller's own unless given; it must be there. */
            project?: string | null;
            /** @description `ingest`, `query`, `admin`. */
            scopes: string[];
        };
        NewProject: {
            /** @description 1 to 63 of a-z, 0-9, `-`, `_` and `.`, beginning with a letter or digit. */
            name: string;
        };
        PartitionBody: {
            /** Format: int64 */
            bytes: number;
            /**
             * @description What the processor stands still before, until the operator restores the queue or gives the messages up with
             *     `devlogs queue skip`.
             */
            damage?: components["schemas"]["DamageBody"];
            /**
             * Format: int64
             * @description Everything before survives a crash of the store.
             */
            durable: number;
            incarnation: string;
            /**
             * Format: int64
             * @description Where the next message will stand.
             */
            next: number;
            /**
             * Format: int64
             * @description The oldest position that the queue keeps.
             */
            oldest: number;
            /** Format: int32 */
            partition: number;
            /**
             * Format: int64
             * @description Messages that wait for the processor.
             */
            waiting_messages: number;
            /**
             * Format: int64
             * @description Everything before is visible to queries.
             */
            written: number;
        };
        /** @description The body of an error: RFC 9457 and our own members. */
        Problem: Record<string, unknown> & {
            /** @description Stable, for programs. */
            code: string;
            detail: string;
            /** @description What to do about it. */
            hint?: string | null;
            /** @description Where in the query, 0-based, in characters. */
            position?: number | null;
            /**
             * Format: int64
             * @description Seconds, as in the `Retry-After` header.
             */
            retry_after?: number | null;
            /**
             * Format: int32
             * @description The HTTP status.
             */
            status: number;
            title: string;
            /** @description `urn:devlogs:error:` and the code. */
            type: string;
        };
        ProjectBody: {
            /** Format: date-time */
            created_at: string;
            name: string;
        };
        ProjectsAnswer: {
            projects: components["schemas"]["ProjectBody"][];
        };
        QueueBody: {
            incarnation: string;
            partitions: components["schemas"]["PartitionBody"][];
        };
        /** @description A log record as every endpoint answers it. Absent members are left out. */
        Record: {
            /** @description Values keep their JSON type. */
            attributes: Record<string, unknown>;
            host?: string;
            /** @description Stable: the same record has the same id after any retry, replay or restart. */
            id: string;
            /** @description `trace`, `debug`, `info`, `warn`, `error` or `fatal`. */
            level?: string;
            message: string;
            /**
             * Format: date-time
             * @description When it was received.
             */
            observed_timestamp: string;
            project: string;
            resource: Record<string, unknown>;
            service: string;
            /**
             * Format: int32
             * @description OpenTelemetry's number, 1 to 24.
             */
            severity_number?: number;
            span_id?: string;
            /**
             * Format: date-time
             * @description RFC 3339 with nanoseconds.
             */
            timestamp: string;
            trace_id?: string;
        };
        /** @description What a replay did. */
        ReplayAnswer: {
            /**
             * Format: int64
             * @description Messages of any time that the queue holds but can't read.
             */
            damaged: number;
            /**
             * Format: int64
             * @description Messages of the time that the queue still held, and their records.
             */
            messages: number;
            /** Format: int64 */
            records: number;
            /**
             * Format: int64
             * @description Records that were missing and are stored now.
             */
            stored: number;
        };
        ReplayRequest: {
            /** @description A time of receipt as in queries: RFC 3339, epoch milliseconds, `now`, `-1h`. */
            from: string;
            /** @description Also when the queue no longer holds all of that time. */
            partial?: boolean;
            /** @description Not included; now unless given. */
            to?: string | null;
        };
        SearchAnswer: {
            /** @description Null on the last page. */
            next_cursor?: string | null;
            records: components["schemas"]["Record"][];
            stats: components["schemas"]["StatsBody"];
        };
        /** @description What `search` is asked. */
        SearchParams: {
            /** @description The `next_cursor` of the page before. It brings the query, the order and the absolute times of page one. */
            cursor?: string | null;
            /** @description RFC 3339, epoch milliseconds, `now` or `-15m`. Included. */
            from?: string | null;
            /** Format: int64 */
            limit?: number | null;
            /** @description `desc` (newest first) or `asc`. */
            order?: string | null;
            /** @description The query; empty matches everything. */
            q?: string | null;
            /** @description As `from`. Excluded. */
            to?: string | null;
        };
        /** @description Who is signed in. */
        SessionBody: {
            /** @description For the header `X-CSRF-Token` of every request that changes something. */
            csrf_token: string;
            /** @description True when the server runs with `--dev`: no sign-in, no key needed. */
            dev?: boolean;
            /** @description What the user may look at, chosen by the header `X-Devlogs-Project` or the parameter `project`. */
            projects: string[];
            user: string;
        };
        SignIn: {
            password: string;
            user: string;
        };
        SkipRequest: {
            /** Format: int32 */
            partition: number;
            /**
             * Format: int64
             * @description The end of the damage, as the status tells it.
             */
            to: number;
        };
        SqlAnswerBody: {
            columns: components["schemas"]["SqlColumn"][];
            rows: unknown[][];
            stats: components["schemas"]["StatsBody"];
        };
        SqlColumn: {
            name: string;
            /** @description In the words of the store's dialect. */
            type: string;
        };
        SqlParams: {
            /** @description One `SELECT` over the view `logs`. */
            sql: string;
        };
        /** @description What a query looked at. */
        StatsBody: {
            /** Format: int64 */
            elapsed_ms: number;
            /**
             * Format: int64
             * @description All matches in the range, when the query had to look at all of them.
             */
            matched?: number;
            /**
             * Format: int64
             * @description Bytes read, as stored.
             */
            scanned_bytes: number;
            /** Format: int64 */
            scanned_rows: number;
        };
        StatusAnswer: {
            /** @description Where the node listens: `collector`, `grpc`, `api`, `ops`. */
            addresses: {
                [key: string]: string;
            };
            /** @description Each check by name, `ok` or what is wrong. */
            checks: {
                [key: string]: string;
            };
            /**
             * Format: int64
             * @description Of all projects.
             */
            dead_letters: number;
            /** @description True when the server runs with `--dev`. */
            dev: boolean;
            queue: components["schemas"]["QueueBody"];
            /** @description False while something that is needed fails, or the server drains. */
            ready: boolean;
            store: components["schemas"]["StoreBody"];
            /**
             * Format: int64
             * @description Since the server started.
             */
            uptime_seconds: number;
            version: string;
        };
        StoreBody: {
            backend: string;
            /**
             * Format: int64
             * @description Rows that are in the queue and in memory only.
             */
            buffered_rows: number;
            /** Format: int64 */
            bytes: number;
            /** Format: date-time */
            newest?: string | null;
            /** Format: date-time */
            oldest?: string | null;
            /** Format: int64 */
            rows: number;
            /** Format: int64 */
            segments: number;
        };
        ValueBody: {
            /** Format: int64 */
            count: number;
            /** @description With its JSON type. */
            value: unknown;
        };
        ValuesAnswer: {
            /** @description By falling count, then value. */
            values: components["schemas"]["ValueBody"][];
        };
        /** @description What a verification found. */
        VerifyAnswer: {
            /** Format: int64 */
            dead_lettered: number;
            /**
             * Format: int64
             * @description In the store more than once.
             */
            doubled: number;
            /**
             * Format: int64
             * @description Neither, as the ledger says: dead letters that were dropped, and records that retention removed.
             */
            gone: number;
            /**
             * Format: int64
             * @description Neither, and nothing says why.
             */
            lost: number;
            /**
             * Format: int64
             * @description Processed messages that the queue still holds, and their records.
             */
            messages: number;
            /** @description A sentence each. */
            problems: string[];
            /** Format: int64 */
            records: number;
            sound: boolean;
            /**
             * Format: int64
             * @description Of these records: in the store, and kept as dead letters.
             */
            stored: number;
            /**
             * Format: int64
             * @description Messages that wait for the processor.
             */
            waiting: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
