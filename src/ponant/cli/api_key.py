"""The user's API key, which commands send to servers but never to a proxy in clear text."""


def api_key() -> str | None:
    """Return the user's key from the environment."""
    from ponant.client.keys import key_of_environment

    return key_of_environment()


def exposure(url: str) -> str | None:
    """Return the reason, with advice, if requests to a URL would show their key to a proxy; None if they do not."""
    from ponant.transports.proxies import clear_text_proxy

    proxy = clear_text_proxy(url)
    if proxy is None:
        return None
    return (
        f"the API key would pass the proxy {proxy} in clear text on the way to {url}. Use an https:// URL, or add the "
        "server's host to NO_PROXY to connect without a proxy"
    )
