//! Schemas and the security scheme, and with them the parameters and headers, that operations refer
//! to.

use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, Components, ComponentsBuilder, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::headers::headers;
use super::parameters::parameters;
use crate::http::handlers::{actions, health, locks};
use crate::http::problem;
use crate::http::schemas;

/// The name of the security scheme.
pub(super) const API_TOKEN: &str = "apiToken";

pub(super) fn components() -> Components {
    let all = ComponentsBuilder::new().security_scheme(API_TOKEN, api_token());
    let all = schemas()
        .into_iter()
        .fold(all, |all, (name, schema)| all.schema(name, closed(schema)));
    let all = parameters()
        .into_iter()
        .fold(all, |all, (name, parameter)| {
            all.parameter(name, parameter.build())
        });
    headers()
        .into_iter()
        .fold(all, |all, (name, header)| all.header(name, header))
        .build()
}

fn api_token() -> SecurityScheme {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "The variable `api_token`. Where it is empty, nothing needs to be sent",
        ));
    SecurityScheme::Http(scheme.build())
}

fn schemas() -> Vec<(String, RefOr<Schema>)> {
    fn of<T: ToSchema>() -> (String, RefOr<Schema>) {
        (T::name().into_owned(), T::schema())
    }
    vec![
        of::<problem::Members<'_>>(),
        of::<problem::InputFault>(),
        of::<actions::Success<'_>>(),
        of::<actions::Failed>(),
        of::<locks::GrantedLease<'_>>(),
        of::<locks::LockState>(),
        of::<health::Live>(),
        of::<health::Ready>(),
        ("Json".to_owned(), schemas::json("Any JSON").into()),
    ]
}

/// The same without members of other names, so that an answer with one is found out.
fn closed(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) if !object.properties.is_empty() => {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            object.into()
        }
        RefOr::T(Schema::OneOf(mut one_of)) => {
            one_of.items = one_of.items.into_iter().map(closed).collect();
            RefOr::T(Schema::OneOf(one_of))
        }
        other => other,
    }
}
