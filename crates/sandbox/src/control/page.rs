//! The page in the browser: static files, no outside resource; the token is typed in or comes in
//! the fragment of the address, which the browser does not send.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;

use crate::world::World;

/// The page's files.
pub(super) fn router() -> Router<Arc<World>> {
    Router::new()
        .route(
            "/",
            get(async || file("text/html; charset=utf-8", include_str!("page/index.html"))),
        )
        .route(
            "/page.js",
            get(async || file("text/javascript", include_str!("page/page.js"))),
        )
        .route(
            "/page.css",
            get(async || file("text/css", include_str!("page/page.css"))),
        )
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
