"""Where crops go, and the stage that makes them."""
