//! Adds fields to a record's attributes without overwriting any.

use model::Fields;
use model::record::lookup;

use crate::bounds::ATTRIBUTES_MAX;

/// Adds the fields whose names the attributes don't have, unless the attributes would become too many: then none.
pub(crate) fn add_missing<'a>(attributes: &mut Fields<'a>, mut fields: Fields<'a>) {
    if fields.is_empty() {
        return;
    }
    fields.retain(|(name, _)| lookup(attributes, name).is_none());
    if attributes.len() + fields.len() <= ATTRIBUTES_MAX {
        attributes.append(&mut fields);
    }
}

/// Puts a field in, or its value in the place of an earlier one of this name: the last wins.
pub(crate) fn put_last<'a>(fields: &mut Fields<'a>, name: std::borrow::Cow<'a, str>, value: model::Value<'a>) {
    match fields.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => fields.push((name, value)),
    }
}
