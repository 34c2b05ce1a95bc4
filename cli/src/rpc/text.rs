//! One plain text beside the JSON-RPC methods, for who asks by `GET`.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};

/// What makes the text, each time that it is asked for.
pub type Text = Arc<dyn Fn() -> String + Send + Sync>;

/// Answers `GET path`, if there is a text, and leaves all else to what it wraps.
#[derive(Clone)]
pub(super) struct TextLayer {
    path: &'static str,
    text: Option<Text>,
}

impl TextLayer {
    pub(super) fn new(path: &'static str, text: Option<Text>) -> Self {
        Self { path, text }
    }
}

impl<S> tower::Layer<S> for TextLayer {
    type Service = TextService<S>;

    fn layer(&self, inner: S) -> TextService<S> {
        TextService { layer: self.clone(), inner }
    }
}

/// See [`TextLayer`].
#[derive(Clone)]
pub(super) struct TextService<S> {
    layer: TextLayer,
    inner: S,
}

impl<S, B> tower::Service<HttpRequest<B>> for TextService<S>
where
    S: tower::Service<HttpRequest<B>, Response = HttpResponse>,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = Either<Ready<Result<HttpResponse, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        match &self.layer.text {
            Some(text) if request.method() == "GET" && request.uri().path() == self.layer.path => {
                Either::Left(ready(Ok(HttpResponse::new(HttpBody::from(text())))))
            }
            _ => Either::Right(self.inner.call(request)),
        }
    }
}
