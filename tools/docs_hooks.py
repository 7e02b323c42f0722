"""For mkdocs: links of the docs to files beside them lead to the repository."""
import os
import re

LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown, page, config, **_):
    """Rewrites links that leave the docs; what stays inside is checked by mkdocs."""
    here = os.path.dirname(page.file.src_uri)

    def link(match):
        path = os.path.normpath(os.path.join("docs", here, match[1]))
        if path == "docs" or path.startswith("docs/"):
            return match[0]
        assert os.path.exists(os.path.join(os.path.dirname(config["config_file_path"]), path)), f"{page.file.src_uri}: {path}"
        return f"]({config['repo_url'].rstrip('/')}/blob/main/{path}{match[2] or ''})"

    return LINK.sub(link, markdown)
