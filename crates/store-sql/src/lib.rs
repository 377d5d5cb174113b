//! One planner from the query tree to SQL, its dialects, and the guard of user-written SQL.
