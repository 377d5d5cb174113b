//! The walk over the tree of a statement.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastFormat, Cte, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, Ident, JoinOperator, ObjectName, ObjectNamePart, OrderByExpr, OrderByKind, Query, Select,
    SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins, Value,
    ValueWithSpan, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::{Guarded, Refused, marker, refuse};

/// Checks the whole statement and writes its strings, which stand in it as markers, by the rules of the dialect.
pub(super) fn check<D: Guarded>(query: &mut Query, strings: &[String]) -> Result<(), Refused> {
    let mut with = query.with.take();
    let mut checker = Checker::<D> {
        relations: HashSet::from(["logs".to_owned()]),
        strings,
        written: 0,
        dialect: std::marker::PhantomData,
    };
    if let Some(with) = &mut with {
        if with.recursive {
            return refuse("WITH RECURSIVE is not allowed");
        }
        // A name is known only behind its definition: before, it would mean a table.
        for cte in &mut with.cte_tables {
            checker.cte(cte)?;
        }
    }
    checker.walk(query)?;
    query.with = with;
    if checker.written != strings.len() {
        return refuse("a string stands where only a name or a keyword can");
    }
    Ok(())
}

struct Checker<'s, D> {
    /// The names that a FROM may have.
    relations: HashSet<String>,
    strings: &'s [String],
    written: usize,
    dialect: std::marker::PhantomData<D>,
}

impl<D: Guarded> Checker<'_, D> {
    fn walk(&mut self, query: &mut Query) -> Result<(), Refused> {
        match VisitMut::visit(query, self) {
            ControlFlow::Break(refused) => Err(refused),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    fn cte(&mut self, cte: &mut Cte) -> Result<(), Refused> {
        if cte.from.is_some() {
            return refuse("FROM behind a WITH is not allowed");
        }
        alias(Some(&cte.alias))?;
        self.walk(&mut cte.query)?;
        let name = Self::name(&cte.alias.name)?;
        if !self.relations.insert(name.clone()) {
            return refuse(format!("the name {name} is taken"));
        }
        Ok(())
    }

    fn name(ident: &Ident) -> Result<String, Refused> {
        match ident.quote_style {
            None => Ok(D::folded(&ident.value)),
            Some('"' | '`') => Ok(ident.value.clone()),
            Some(_) => refuse("a string can't be a name"),
        }
    }

    /// A relation's or a function's name: a single plain one.
    fn single(name: &ObjectName) -> Result<String, Refused> {
        match &name.0[..] {
            [ObjectNamePart::Identifier(ident)] => Self::name(ident),
            _ => refuse(format!("{name} is not allowed: names have one part here")),
        }
    }

    fn query(query: &Query) -> Result<(), Refused> {
        let Query {
            with,
            body,
            order_by,
            limit_clause: _,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if with.is_some() {
            return refuse("WITH is allowed at the beginning of a statement only");
        }
        if settings.is_some() || format_clause.is_some() {
            return refuse("SETTINGS and FORMAT are not allowed");
        }
        if fetch.is_some() || !locks.is_empty() || for_clause.is_some() || !pipe_operators.is_empty() {
            return refuse("FETCH, FOR and |> are not allowed; use LIMIT");
        }
        if let Some(order) = order_by {
            if order.interpolate.is_some() {
                return refuse("INTERPOLATE is not allowed");
            }
            if let OrderByKind::Expressions(expressions) = &order.kind {
                ordered(expressions)?;
            }
        }
        body_of(body)
    }

    fn factor(&self, factor: &TableFactor) -> Result<(), Refused> {
        match factor {
            TableFactor::Table {
                name,
                alias: named,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                alias(named.as_ref())?;
                if self.relations.contains(&Self::single(name)?) {
                    return Ok(());
                }
                refuse(format!("there is no {name} here; the only table is logs"))
            }
            TableFactor::Derived { lateral: false, alias: named, sample: None, .. } => alias(named.as_ref()),
            TableFactor::NestedJoin { alias: named, table_with_joins } => {
                alias(named.as_ref())?;
                joins(table_with_joins)
            }
            other => refuse(format!("{other} is not allowed in FROM; the only table is logs")),
        }
    }

    fn expression(expression: &Expr) -> Result<(), Refused> {
        use Expr as E;
        match expression {
            E::Identifier(ident) => Self::name(ident).map(drop),
            E::CompoundIdentifier(idents) => idents.iter().try_for_each(|ident| Self::name(ident).map(drop)),
            E::IsFalse(_)
            | E::IsNotFalse(_)
            | E::IsTrue(_)
            | E::IsNotTrue(_)
            | E::IsNull(_)
            | E::IsNotNull(_)
            | E::IsUnknown(_)
            | E::IsNotUnknown(_)
            | E::IsDistinctFrom(..)
            | E::IsNotDistinctFrom(..)
            | E::InSubquery { .. }
            | E::Between { .. }
            | E::Like { .. }
            | E::ILike { .. }
            | E::SimilarTo { .. }
            | E::UnaryOp { .. }
            | E::AtTimeZone { .. }
            | E::Extract { .. }
            | E::Ceil { .. }
            | E::Floor { .. }
            | E::Position { .. }
            | E::Substring { .. }
            | E::Trim { .. }
            | E::Nested(_)
            | E::Case { .. }
            | E::Exists { .. }
            | E::Subquery(_)
            | E::GroupingSets(_)
            | E::Cube(_)
            | E::Rollup(_)
            | E::Tuple(_)
            | E::Array(_)
            | E::Interval(_)
            | E::Value(_)
            | E::CompoundFieldAccess { .. } => Ok(()),
            E::InList { list, .. } if D::IN_NAMES_TABLES && list.iter().any(is_name) => {
                refuse("a name within IN (…) is not allowed; write the values, or a sub-query")
            }
            E::InList { .. } => Ok(()),
            E::BinaryOp { op, .. } | E::AnyOp { compare_op: op, .. } | E::AllOp { compare_op: op, .. } => operator(op),
            E::Cast { data_type, format, .. } => {
                if matches!(format, Some(CastFormat::Value(_) | CastFormat::ValueAtTimeZone(..))) {
                    return refuse("CAST with FORMAT is not allowed");
                }
                plain_type(data_type)
            }
            E::TypedString(typed) => plain_type(&typed.data_type),
            E::Function(function) => Self::function(function),
            other => refuse(format!("{other} is not allowed")),
        }
    }

    fn function(function: &Function) -> Result<(), Refused> {
        let Function { name, uses_odbc_syntax, parameters, args, filter: _, null_treatment: _, over: _, within_group } =
            function;
        let called = Self::single(name)?.to_ascii_lowercase();
        if *uses_odbc_syntax || !D::FUNCTIONS.iter().any(|names| names.contains(&&*called)) {
            return refuse(format!("the function {name} is not allowed"));
        }
        ordered(within_group)?;
        [parameters, args].into_iter().try_for_each(|arguments| match arguments {
            FunctionArguments::None => Ok(()),
            FunctionArguments::Subquery(_) => refuse(format!("{name} takes no sub-query without parentheses")),
            FunctionArguments::List(list) => {
                let plain = |arg: &FunctionArg| {
                    matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Expr(_) | FunctionArgExpr::Wildcard))
                };
                if !list.args.iter().all(plain) {
                    return refuse(format!("{name} takes plain arguments only"));
                }
                list.clauses.iter().try_for_each(|clause| match clause {
                    FunctionArgumentClause::OrderBy(expressions) => ordered(expressions),
                    other => refuse(format!("{other} is not allowed in {name}")),
                })
            }
        })
    }

    /// Writes the string for which a marker stands.
    fn value(&mut self, value: &mut ValueWithSpan) -> Result<(), Refused> {
        match &value.value {
            Value::Number(..) | Value::Boolean(_) | Value::Null => Ok(()),
            Value::SingleQuotedString(text) => {
                let known = self.strings.iter().enumerate().find(|(index, _)| marker(*index) == *text);
                let Some((_, string)) = known else { return refuse("a string stands where none can") };
                value.value = Value::Placeholder(D::string(string));
                self.written += 1;
                Ok(())
            }
            other => refuse(format!("{other} is not allowed")),
        }
    }
}

impl<D: Guarded> VisitorMut for Checker<'_, D> {
    type Break = Refused;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Refused> {
        flow(Self::query(query))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Refused> {
        flow(selected(select))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Refused> {
        let checked = self.factor(factor);
        if let TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. } = factor
        {
            // With AS no database takes the name for a keyword.
            alias.explicit = true;
        }
        flow(checked)
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Refused> {
        flow(Self::expression(expression))
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Refused> {
        flow(self.value(value))
    }
}

fn flow(checked: Result<(), Refused>) -> ControlFlow<Refused> {
    match checked {
        Ok(()) => ControlFlow::Continue(()),
        Err(refused) => ControlFlow::Break(refused),
    }
}

fn body_of(body: &SetExpr) -> Result<(), Refused> {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => Ok(()),
        SetExpr::SetOperation { left, right, .. } => body_of(left).and_then(|()| body_of(right)),
        _ => refuse("only SELECT and VALUES are allowed; this API is read-only"),
    }
}

fn selected(select: &Select) -> Result<(), Refused> {
    let rare = select.select_modifiers.is_some()
        || select.top.is_some()
        || select.exclude.is_some()
        || select.prewhere.is_some()
        || select.qualify.is_some()
        || select.value_table_mode.is_some()
        || select.flavor != SelectFlavor::Standard
        || ![
            select.optimizer_hints.is_empty(),
            select.lateral_views.is_empty(),
            select.connect_by.is_empty(),
            select.cluster_by.is_empty(),
            select.distribute_by.is_empty(),
            select.sort_by.is_empty(),
        ]
        .into_iter()
        .all(|empty| empty);
    if select.into.is_some() {
        return refuse("INTO is not allowed; this API is read-only");
    }
    if rare {
        return refuse("only FROM, WHERE, GROUP BY, HAVING, WINDOW, ORDER BY and LIMIT are allowed");
    }
    select.from.iter().try_for_each(joins)?;
    select.projection.iter().try_for_each(|item| match item {
        SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => Ok(()),
        SelectItem::Wildcard(options) => plain_wildcard(options),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(_), options) => {
            plain_wildcard(options)
        }
        other => refuse(format!("{other} is not allowed")),
    })
}

fn plain_wildcard(options: &WildcardAdditionalOptions) -> Result<(), Refused> {
    let WildcardAdditionalOptions { opt_ilike, opt_exclude, opt_except, opt_replace, opt_rename, opt_alias, .. } =
        options;
    let none = opt_ilike.is_none() && opt_exclude.is_none() && opt_except.is_none();
    if none && opt_replace.is_none() && opt_rename.is_none() && opt_alias.is_none() {
        return Ok(());
    }
    refuse("* takes nothing behind it here; list the columns")
}

fn joins(table: &TableWithJoins) -> Result<(), Refused> {
    table.joins.iter().try_for_each(|join| match &join.join_operator {
        JoinOperator::Join(_)
        | JoinOperator::Inner(_)
        | JoinOperator::Left(_)
        | JoinOperator::LeftOuter(_)
        | JoinOperator::Right(_)
        | JoinOperator::RightOuter(_)
        | JoinOperator::FullOuter(_)
        | JoinOperator::CrossJoin(_)
            if !join.global =>
        {
            Ok(())
        }
        _ => refuse("only INNER, LEFT, RIGHT, FULL and CROSS JOIN are allowed"),
    })
}

fn alias(alias: Option<&TableAlias>) -> Result<(), Refused> {
    let plain = |alias: &TableAlias| alias.columns.iter().all(|column| column.data_type.is_none());
    if alias.is_none_or(plain) { Ok(()) } else { refuse("columns of an alias take no types") }
}

fn ordered(expressions: &[OrderByExpr]) -> Result<(), Refused> {
    if expressions.iter().any(|expression| expression.with_fill.is_some()) {
        return refuse("WITH FILL is not allowed: it makes any number of rows");
    }
    Ok(())
}

fn operator(operator: &BinaryOperator) -> Result<(), Refused> {
    match operator {
        BinaryOperator::PGCustomBinaryOperator(_) | BinaryOperator::Custom(_) => {
            refuse(format!("the operator {operator} is not allowed"))
        }
        _ => Ok(()),
    }
}

fn is_name(expression: &Expr) -> bool {
    match expression {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
        Expr::Nested(inner) => is_name(inner),
        Expr::Tuple(items) => items.iter().any(is_name),
        _ => false,
    }
}

fn plain_type(data_type: &DataType) -> Result<(), Refused> {
    use DataType as T;
    match data_type {
        T::Character(_)
        | T::Char(_)
        | T::CharacterVarying(_)
        | T::Varchar(_)
        | T::Text
        | T::String(_)
        | T::Numeric(_)
        | T::Decimal(_)
        | T::Float(_)
        | T::SmallInt(_)
        | T::Int(_)
        | T::Int2(_)
        | T::Int4(_)
        | T::Int8(_)
        | T::Int16
        | T::Int32
        | T::Int64
        | T::Integer(_)
        | T::BigInt(_)
        | T::UInt8
        | T::UInt16
        | T::UInt32
        | T::UInt64
        | T::Float4
        | T::Float8
        | T::Float32
        | T::Float64
        | T::Real
        | T::Double(_)
        | T::DoublePrecision
        | T::Bool
        | T::Boolean
        | T::Date
        | T::Date32
        | T::Time(..)
        | T::Datetime(_)
        | T::Datetime64(_, None)
        | T::Timestamp(..)
        | T::Interval { .. }
        | T::JSON
        | T::JSONB => Ok(()),
        T::Nullable(inner) => plain_type(inner),
        other => refuse(format!("the type {other} is not allowed")),
    }
}
