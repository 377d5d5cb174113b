//! The functions that SQL may call: those that read their arguments and nothing else, in time and memory that their
//! input bounds. (`repeat`, `lpad` and their like make text of any length, so they are not here.)

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{AggregateUDF, ColumnarValue, ScalarUDF, Volatility, WindowUDF, create_udf};
use model::Value;
use model::record::lookup;

use crate::columns::from_json;

const SCALAR: &[&str] = &[
    // conditions
    "coalesce",
    "nullif",
    "nvl",
    "nvl2",
    "greatest",
    "least",
    // text
    "ascii",
    "bit_length",
    "btrim",
    "chr",
    "concat",
    "concat_ws",
    "contains",
    "ends_with",
    "levenshtein",
    "lower",
    "ltrim",
    "octet_length",
    "replace",
    "rtrim",
    "split_part",
    "starts_with",
    "to_hex",
    "upper",
    "character_length",
    "find_in_set",
    "initcap",
    "left",
    "reverse",
    "right",
    "strpos",
    "substr",
    "substr_index",
    "translate",
    // regular expressions
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    // times
    "date_bin",
    "date_format",
    "date_part",
    "date_trunc",
    "from_unixtime",
    "make_date",
    "now",
    "current_date",
    "current_time",
    "to_char",
    "to_date",
    "to_timestamp",
    "to_timestamp_seconds",
    "to_timestamp_millis",
    "to_timestamp_micros",
    "to_timestamp_nanos",
    "to_unixtime",
];

const AGGREGATE: &[&str] = &[
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "median",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "percentile_cont",
    "stddev",
    "stddev_pop",
    "var",
    "var_pop",
    "corr",
    "covar_pop",
    "covar_samp",
    "first_value",
    "last_value",
    "nth_value",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "string_agg",
    "array_agg",
];

const WINDOW: &[&str] = &[
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "nth_value",
];

pub(super) fn scalar() -> Vec<Arc<ScalarUDF>> {
    let allowed: HashSet<_> = SCALAR.iter().copied().collect();
    let mut functions = SessionStateDefaults::default_scalar_functions();
    functions.retain(|function| allowed.contains(function.name()));
    functions.push(Arc::new(json_get()));
    functions
}

pub(super) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    let allowed: HashSet<_> = AGGREGATE.iter().copied().collect();
    let mut functions = SessionStateDefaults::default_aggregate_functions();
    functions.retain(|function| allowed.contains(function.name()));
    functions
}

pub(super) fn window() -> Vec<Arc<WindowUDF>> {
    let allowed: HashSet<_> = WINDOW.iter().copied().collect();
    let mut functions = SessionStateDefaults::default_window_functions();
    functions.retain(|function| allowed.contains(function.name()));
    functions
}

/// `json_get(object, name)`: a value of a JSON object as text, or null.
fn json_get() -> ScalarUDF {
    let text = DataType::Utf8;
    create_udf("json_get", vec![text.clone(), text.clone()], text, Volatility::Immutable, Arc::new(invoke_json_get))
}

fn invoke_json_get(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let [objects, names] = &arrays[..] else {
        return Err(DataFusionError::Plan("json_get takes an object and a name".to_owned()));
    };
    let (objects, names) = (cast(objects, &DataType::Utf8)?, cast(names, &DataType::Utf8)?);
    let (objects, names) = (objects.as_string::<i32>(), names.as_string::<i32>());
    let get = |row: usize| {
        if objects.is_null(row) || names.is_null(row) {
            return None;
        }
        match from_json(objects.value(row)).ok()? {
            Value::Map(fields) => lookup(&fields, names.value(row)).map(|value| text(value).into_owned()),
            _ => None,
        }
    };
    Ok(ColumnarValue::Array(Arc::new((0..objects.len()).map(get).collect::<StringArray>())))
}

/// Strings as they are, other values as JSON.
pub(super) fn text<'v>(value: &'v Value<'_>) -> std::borrow::Cow<'v, str> {
    store::aggregation::key::text(value)
}
