"""The world that tests and bench live in: campaigns, shares, the command line, a deployment, the sandbox, waiting.

A test in five lines; `world` is a fixture of tests/conftest.py, a database of this test's own:

    def test_a_stopped_campaign_is_resumed(world: World) -> None:
        campaign = world.campaign(targets=5).begun().paid(3).stopped()
        campaign.begun("RESUME")
        assert campaign.counts().pending == 2
        assert world.written()[0] == ["campaign.started", "campaign.stopped", "campaign.resumed"]

What a test needs is brought about by the product's own statements where that is quick. Raw SQL is for what only time or
another program does, and it stands here and in the tests whose subject it is: a changed column changes this folder.

    campaigns      a database's campaigns, shares and payments, and their time
    waiting        wait_for: the one bounded loop
    refusals       refused: the sentence that people read
"""
