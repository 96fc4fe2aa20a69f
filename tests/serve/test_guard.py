import http.client
from urllib.parse import urlsplit


def ask(url: str, host: str, path: str = "/", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("GET", path, headers={"Host": host, **headers})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def test_a_request_for_another_host_is_refused(served):
    url = served.url

    assert ask(url, "rebound.example").status == 403
    assert ask(url, "localhost:7860").status == 200


def test_the_browser_is_told_to_keep_nothing_and_to_ask_nobody_else(served):
    headers = ask(served.url, "127.0.0.1").headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_body_beyond_the_limit_is_refused_on_every_path(served):
    for path in ("/gradio_api/upload", "/gradio_api/component_server", "/anything"):
        answer = ask(served.url, "127.0.0.1", path, **{"Content-Length": str(200 * 2**20)})
        assert answer.status == 413
        assert answer.headers["content-type"] == "application/problem+json"
