//! Exports, read again by other people's readers.

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use serde_json::Value as Json;

use super::bench::Bench;

/// More than two pages.
const RECORDS: u32 = 6_001;

#[tokio::test]
async fn every_format_holds_every_record_once_and_in_order() {
    let bench = Bench::new().await;
    bench.store("shop", RECORDS, 60).await;
    let numbers: Vec<u64> = (0..u64::from(RECORDS)).collect();

    let lines = bench.get(&bench.shop, "/api/v1/export?order=asc").await;
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    let records: Vec<Json> = lines
        .body
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    let found: Vec<u64> = records.iter().map(|record| record["attributes"]["n"].as_u64().unwrap()).collect();
    assert_eq!(found, numbers);

    let table = bench.get(&bench.shop, "/api/v1/export?format=csv&order=asc").await;
    let mut reader = csv::Reader::from_reader(table.body.as_slice());
    let columns = reader.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let (message, attributes) = (column("message"), column("attributes"));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let found: Vec<u64> =
        rows.iter().map(|row| serde_json::from_str::<Json>(&row[attributes]).unwrap()["n"].as_u64().unwrap()).collect();
    assert_eq!(found, numbers);
    assert_eq!(&rows[7][message], "'=secret of shop number 7");

    let file = bench.get(&bench.shop, "/api/v1/export?format=parquet&order=asc").await;
    let reader = SerializedFileReader::new(bytes::Bytes::from(file.body)).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), RECORDS as usize);
    assert_eq!(rows[7].get_string(8).unwrap(), "=secret of shop number 7");
    bench.close().await;
}

#[tokio::test]
async fn an_export_of_nothing_is_a_whole_file() {
    let bench = Bench::new().await;
    assert!(bench.get(&bench.shop, "/api/v1/export").await.body.is_empty());
    let table = bench.get(&bench.shop, "/api/v1/export?format=csv").await;
    assert!(table.body.starts_with(b"id,timestamp,"));
    let file = bench.get(&bench.shop, "/api/v1/export?format=parquet").await;
    assert_eq!(SerializedFileReader::new(bytes::Bytes::from(file.body)).unwrap().num_row_groups(), 0);
    bench.close().await;
}
