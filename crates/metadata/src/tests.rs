//! The same on real SQLite files and on a real PostgreSQL.

mod postgres;

use std::time::{Duration, Instant};

use model::RecordId;
use model::position::{Incarnation, Partition, Position};
use tempfile::TempDir;
use test_backends::postgres::Postgres;

use super::*;
use crate::dead_letters::Room;

/// A new database.
struct Place {
    location: String,
    /// Of a file, removed with it.
    folder: Option<TempDir>,
}

impl Place {
    fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let location = format!("sqlite:{}", folder.path().join("deep").join("metadata.db").display());
        Self { location, folder: Some(folder) }
    }

    fn postgres() -> Self {
        Self { location: Postgres::shared().database(), folder: None }
    }

    fn another(&self) -> Self {
        if self.folder.is_some() { Self::sqlite() } else { Self::postgres() }
    }

    /// All that the database holds, as text.
    fn stored(&self) -> String {
        match self.location.strip_prefix("sqlite:") {
            Some(path) => {
                let log = std::fs::read(format!("{path}-wal")).unwrap_or_default();
                String::from_utf8_lossy(&[std::fs::read(path).unwrap(), log].concat()).into_owned()
            }
            None => {
                let (_, database) = self.location.rsplit_once('/').unwrap();
                let all = ["projects", "users", "keys"].map(|table| format!("TABLE {table}"));
                all.map(|sql| Postgres::shared().psql(database, &sql)).concat()
            }
        }
    }

    async fn open(&self) -> Metadata {
        Metadata::open(&self.location).await.unwrap()
    }
}

/// Each of the tests on both databases.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $test() { super::$test(super::Place::sqlite()).await; })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $test() { super::$test(super::Place::postgres()).await; })*
        }
    };
}

on_both!(
    only_one_of_many_starts_makes_the_secrets,
    secrets_that_nobody_could_keep_are_made_anew,
    keys_are_checked_whole_and_die_on_revocation_and_expiry,
    another_process_revokes_within_the_cache_time,
    use_of_a_key_is_noted,
    keys_and_projects_have_rules,
    sessions_begin_with_the_password_only_and_end,
    dead_letters_page_and_a_newer_one_survives_the_deletion_of_the_older,
    a_large_letter_is_listed_without_its_payload,
    dead_letters_past_the_bound_are_refused_whole_until_there_is_room,
    texts_with_nul_are_no_errors,
    a_user_has_a_bounded_number_of_sessions,
);

fn key(project: &str, scopes: &[Scope]) -> NewKey {
    NewKey { name: "k".into(), project: project.into(), scopes: scopes.iter().copied().collect(), expires_at: None }
}

async fn only_one_of_many_starts_makes_the_secrets(place: Place) {
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let location = place.location.clone();
            tokio::spawn(async move { Metadata::open(&location).await.unwrap().bootstrap().await.unwrap() })
        })
        .collect();
    let mut made = Vec::new();
    for start in starts {
        made.extend(start.await.unwrap());
    }
    assert_eq!(made.len(), 1);
    let metadata = place.open().await;
    assert!(metadata.bootstrap().await.unwrap().is_none());
    let secrets = &made[0];
    let admin = metadata.authenticate_key(&secrets.admin_key).await.unwrap().unwrap();
    assert_eq!((&*admin.project, admin.scopes), (DEFAULT_PROJECT, Scopes::ALL));
    let ingest = metadata.authenticate_key(&secrets.ingest_key).await.unwrap().unwrap();
    assert_eq!(ingest.scopes, [Scope::Ingest].into_iter().collect());
    let query = metadata.authenticate_key(&secrets.query_key).await.unwrap().unwrap();
    assert_eq!(query.scopes, [Scope::Query].into_iter().collect());
    metadata.sign_in(&secrets.admin_user, &secrets.admin_password, "").await.unwrap();

    let shown = format!("{secrets:?} {metadata:?}");
    for secret in [&secrets.admin_password, &secrets.admin_key, &secrets.ingest_key, &secrets.query_key] {
        assert!(!shown.contains(secret.as_str()));
    }
    let text = place.stored();
    assert!(text.contains(DEFAULT_PROJECT), "what is stored must be seen");
    assert!(!text.contains(&secrets.admin_key[16..]) && !text.contains(&secrets.admin_password));
}

async fn secrets_that_nobody_could_keep_are_made_anew(place: Place) {
    let metadata = place.open().await;
    let failed = metadata.bootstrap_with(|_| Err(std::io::Error::other("disk full"))).await;
    assert!(matches!(failed, Err(MetadataError::KeepSecrets(_))));
    assert!(metadata.bootstrap().await.unwrap().is_some());
}

async fn keys_are_checked_whole_and_die_on_revocation_and_expiry(place: Place) {
    let metadata = place.open().await;
    let (info, text) = metadata.create_key(&key(DEFAULT_PROJECT, &[Scope::Query])).await.unwrap();
    assert!(text.starts_with(&format!("dl_{}_", info.prefix)));
    assert!(metadata.authenticate_key(&text).await.unwrap().is_some());
    let mut other = text.clone();
    let last = if other.pop() == Some('0') { '1' } else { '0' };
    other.push(last);
    assert!(metadata.authenticate_key(&other).await.unwrap().is_none());
    for nonsense in ["", "dl_", "dl__", "x", "dl_aaaaaaaaaaaa_", &text[..text.len() - 1]] {
        assert!(metadata.authenticate_key(nonsense).await.unwrap().is_none(), "{nonsense}");
    }

    assert!(metadata.revoke_key(&info.id).await.unwrap());
    assert!(!metadata.revoke_key(&info.id).await.unwrap());
    assert!(metadata.authenticate_key(&text).await.unwrap().is_none());

    let mut short = key(DEFAULT_PROJECT, &[Scope::Query]);
    short.expires_at = Some(now() + 300_000_000);
    let (_, text) = metadata.create_key(&short).await.unwrap();
    assert!(metadata.authenticate_key(&text).await.unwrap().is_some());
    tokio::time::sleep(Duration::from_millis(310)).await;
    assert!(metadata.authenticate_key(&text).await.unwrap().is_none(), "also from the cache");
}

async fn another_process_revokes_within_the_cache_time(place: Place) {
    let (metadata, other) = (place.open().await, place.open().await);
    let (info, text) = metadata.create_key(&key(DEFAULT_PROJECT, &[Scope::Query])).await.unwrap();
    assert!(other.authenticate_key(&text).await.unwrap().is_some());
    metadata.revoke_key(&info.id).await.unwrap();
    let revoked = Instant::now();
    while other.authenticate_key(&text).await.unwrap().is_some() {
        assert!(revoked.elapsed() < Duration::from_millis(2_200), "a revoked key is still taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn use_of_a_key_is_noted(place: Place) {
    let metadata = place.open().await;
    let (info, text) = metadata.create_key(&key(DEFAULT_PROJECT, &[Scope::Query])).await.unwrap();
    assert_eq!(info.last_used_at, None);
    metadata.authenticate_key(&text).await.unwrap();
    for _ in 0..100 {
        if metadata.keys(None).await.unwrap()[0].last_used_at.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("last_used_at was never written");
}

async fn keys_and_projects_have_rules(place: Place) {
    let metadata = place.open().await;
    for bad in ["", "A", "-a", "a b", "ä", ".a", "*", &"a".repeat(64)] {
        assert!(matches!(metadata.create_project(bad).await, Err(MetadataError::Invalid(_))), "{bad}");
    }
    metadata.create_project("shop.eu-1_x").await.unwrap();
    assert!(matches!(metadata.create_project("shop.eu-1_x").await, Err(MetadataError::Exists(_))));
    assert!(matches!(metadata.create_project(DEFAULT_PROJECT).await, Err(MetadataError::Exists(_))));
    let names: Vec<_> = metadata.projects().await.unwrap().into_iter().map(|project| project.name).collect();
    assert_eq!(names, ["default", "shop.eu-1_x"]);

    let mut late = key(DEFAULT_PROJECT, &[Scope::Query]);
    late.expires_at = Some(1);
    let mut nameless = key(DEFAULT_PROJECT, &[Scope::Query]);
    nameless.name = "  ".into();
    for bad in [key("nowhere", &[Scope::Query]), key(DEFAULT_PROJECT, &[]), late, nameless] {
        assert!(matches!(metadata.create_key(&bad).await, Err(MetadataError::Invalid(_))), "{bad:?}");
    }
    metadata.create_key(&key("shop.eu-1_x", &[Scope::Ingest])).await.unwrap();
    assert_eq!(metadata.keys(Some("shop.eu-1_x")).await.unwrap().len(), 1);
    assert_eq!(metadata.keys(Some(DEFAULT_PROJECT)).await.unwrap().len(), 0);
}

async fn sessions_begin_with_the_password_only_and_end(place: Place) {
    let metadata = place.open().await;
    let secrets = metadata.bootstrap().await.unwrap().unwrap();
    let right = &secrets.admin_password;
    assert!(matches!(metadata.sign_in("admin", "wrong", "a").await, Err(MetadataError::WrongPassword)));
    assert!(matches!(metadata.sign_in("nobody", right, "a").await, Err(MetadataError::WrongPassword)));
    let new = metadata.sign_in("admin", right, "a").await.unwrap();
    assert!(!format!("{new:?}").contains(&new.token) && !format!("{new:?}").contains(&new.session.csrf_token));
    let session = metadata.session(&new.token).await.unwrap().unwrap();
    assert_eq!(session, new.session);
    assert!(session.admin && session.csrf_token != new.token);
    assert!(metadata.session(&session.csrf_token).await.unwrap().is_none());
    metadata.sign_out(&new.token).await.unwrap();
    assert!(metadata.session(&new.token).await.unwrap().is_none());

    // Hashing on a busy machine may outlast the first pauses; they grow with every failure.
    let mut failures = 0;
    loop {
        match metadata.sign_in("admin", "wrong", "b").await {
            Err(MetadataError::WrongPassword) => failures += 1,
            Err(MetadataError::TooManySignIns { retry_after }) if retry_after.as_millis() > 500 => break,
            Err(MetadataError::TooManySignIns { .. }) => {}
            other => panic!("{other:?}"),
        }
        assert!(failures < 15, "guessing is not slowed down");
    }
    assert!(failures >= 5, "a few failures are free");
    assert!(matches!(metadata.sign_in("admin", right, "b").await, Err(MetadataError::TooManySignIns { .. })));
}

fn letter(origin: u128, project: &str, position: u64, at: i64) -> DeadLetter {
    DeadLetter {
        id: RecordId { origin, index: 7 },
        project: project.into(),
        incarnation: Incarnation(u128::MAX),
        partition: Partition(3),
        position: Position(position),
        index: 7,
        reason: "too large".into(),
        at,
        received: 5,
        payload: vec![0, 255, 1],
    }
}

async fn dead_letters_page_and_a_newer_one_survives_the_deletion_of_the_older(place: Place) {
    let metadata = place.open().await;
    let letters: Vec<_> =
        (0..5).map(|n| letter(n, if n == 2 { "b" } else { "a" }, n as u64, i64::from(n > 2))).collect();
    metadata.put_dead_letters(&letters).await.unwrap();
    metadata.put_dead_letters(&letters[..1]).await.unwrap();
    assert_eq!(metadata.count_dead_letters(None).await.unwrap(), 5);
    assert_eq!(metadata.count_dead_letters(Some("b")).await.unwrap(), 1);
    assert_eq!(metadata.dead_letter(letters[1].id).await.unwrap().as_ref(), Some(&letters[1]));

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = metadata.dead_letters(Some("a"), after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        assert_eq!((last.payload_bytes, &last.letter.payload[..]), (3, &[0, 255, 1][..]));
        after = Some((last.letter.at, last.letter.id));
        seen.extend(page.iter().map(|listed| listed.letter.id.origin));
    }
    assert_eq!(seen, [4, 3, 1, 0]);

    let old = &letters[0];
    let again = letter(0, "a", u64::MAX >> 1, 9);
    metadata.put_dead_letters(std::slice::from_ref(&again)).await.unwrap();
    let delete = |letter: DeadLetter| {
        let metadata = metadata.clone();
        async move {
            metadata.delete_dead_letter(letter.id, letter.incarnation, letter.partition, letter.position).await.unwrap()
        }
    };
    assert!(!delete(old.clone()).await);
    assert_eq!(metadata.dead_letter(old.id).await.unwrap().as_ref(), Some(&again));
    assert!(delete(again).await);
    assert!(metadata.dead_letter(old.id).await.unwrap().is_none());
}

async fn a_large_letter_is_listed_without_its_payload(place: Place) {
    let metadata = place.open().await;
    let large = DeadLetter { payload: vec![7; 20 << 10], ..letter(1, "a", 1, 1) };
    metadata.put_dead_letters(std::slice::from_ref(&large)).await.unwrap();
    let listed = metadata.dead_letters(None, None, 10).await.unwrap().remove(0);
    assert_eq!((listed.payload_bytes, listed.letter.payload.len()), (20 << 10, 0));
    assert_eq!(metadata.dead_letter(large.id).await.unwrap(), Some(large));
}

async fn dead_letters_past_the_bound_are_refused_whole_until_there_is_room(place: Place) {
    for room in [Room::of(3, 1_000), Room::of(100, 9)] {
        let place = place.another();
        let mut metadata = place.open().await;
        Arc::get_mut(&mut metadata.inner).unwrap().letters = room;
        let letters: Vec<_> = (0..5).map(|n| letter(n, "a", n as u64, 1)).collect();
        metadata.put_dead_letters(&letters[..2]).await.unwrap();
        let full = metadata.put_dead_letters(&letters[2..4]).await;
        assert!(matches!(full, Err(MetadataError::Full(_))), "{full:?}");
        assert_eq!(metadata.count_dead_letters(None).await.unwrap(), 2, "all or none");
        metadata.put_dead_letters(&letters[2..3]).await.unwrap();
        metadata.put_dead_letters(&letters[..3]).await.expect("those that are there take no more room");
        assert!(metadata.put_dead_letters(&letters[3..4]).await.is_err());
        let gone = &letters[0];
        assert!(metadata.delete_dead_letter(gone.id, gone.incarnation, gone.partition, gone.position).await.unwrap());
        metadata.put_dead_letters(&letters[3..4]).await.expect("there is room again");
    }
}

async fn texts_with_nul_are_no_errors(place: Place) {
    let metadata = place.open().await;
    let odd = DeadLetter { reason: "bad \0 byte".into(), ..letter(1, "a\0b", 1, 1) };
    metadata.put_dead_letters(std::slice::from_ref(&odd)).await.unwrap();
    assert_eq!(metadata.dead_letter(odd.id).await.unwrap().unwrap().reason, "bad \u{fffd} byte");
    assert_eq!(metadata.count_dead_letters(Some("a\0b")).await.unwrap(), 1);
    assert!(metadata.project("a\0").await.unwrap().is_none());
    assert!(metadata.keys(Some("a\0")).await.unwrap().is_empty());
    assert!(!metadata.revoke_key("\0").await.unwrap());
    assert!(matches!(metadata.sign_in("a\0", "b\0", "c").await, Err(MetadataError::WrongPassword)));
    let nul = NewKey { name: "a\0".into(), ..key(DEFAULT_PROJECT, &[Scope::Query]) };
    metadata.create_key(&nul).await.unwrap();
}

async fn a_user_has_a_bounded_number_of_sessions(place: Place) {
    let metadata = place.open().await;
    metadata.bootstrap().await.unwrap();
    let mut tokens = Vec::new();
    for _ in 0..53 {
        tokens.push(metadata.begin_session("admin", true).await.unwrap().token);
    }
    let mut alive = Vec::new();
    for token in &tokens {
        alive.push(metadata.session(token).await.unwrap().is_some());
    }
    assert_eq!(alive.iter().filter(|alive| **alive).count(), 50);
    assert!(!alive[0] && alive[52], "the oldest give way");
}

#[tokio::test]
async fn locations_are_understood_or_refused_with_a_reason() {
    let folder = TempDir::new().unwrap();
    for location in ["postgres:x", "postgres://[", "sqlite:", "mysql:x"] {
        assert!(matches!(Metadata::open(location).await, Err(MetadataError::Open(_))), "{location}");
    }
    let broken = folder.path().join("broken.db");
    std::fs::write(&broken, "this is not a database, not at all, and long enough to be a header").unwrap();
    assert!(Metadata::open(&broken.display().to_string()).await.is_err());
}
