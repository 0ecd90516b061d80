"""The route of the picture of an alarm's peak frame."""

import asyncio
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.viewer.helper import HelperError
from monitor.web.answers import answer

ANSWER_S: Final = 15.0


class NoPictureError(ValueError):
    """There is no picture of an alarm: one line that says why."""


class View(Protocol):
    """What is shown of frames. Called in the event loop."""

    async def picture(self, alarm_id: str) -> bytes:
        """A Picture as JSON. Raises NoPictureError, or HelperError where it cannot be drawn now."""


def routes(view: View) -> list[Route]:
    """The route over *view*."""

    async def picture(request: Request) -> Response:
        try:
            async with asyncio.timeout(ANSWER_S):
                found = await view.picture(request.path_params["target"])
        except NoPictureError as error:
            return answer({"error": str(error)}, 404)
        except HelperError as error:
            return answer({"error": f"no pictures are drawn now: {error}"}, 503)
        except TimeoutError:
            return answer({"error": f"the picture was not drawn within {ANSWER_S:g} s"}, 503)
        return Response(found, headers={"Cache-Control": "no-store"}, media_type="application/json")

    return [Route("/api/v1/alarms/{target}/picture", picture, methods=["GET"])]
