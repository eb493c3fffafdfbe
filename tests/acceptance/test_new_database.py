"""The embedded database of a new folder: said where it was made, and what stands in the way."""

import resource
from pathlib import Path

from tests.world.command_line import CommandLine


def test_a_new_database_is_said_once_with_its_place_and_so_is_what_stands_in_its_way(
    bulkpoint: CommandLine, reachable_tmp: Path
) -> None:
    folder = reachable_tmp / "new"
    ours = {"BULKPOINT_DATABASE_URL": "", "BULKPOINT_DATA_DIR": str(folder)}
    anew = CommandLine(bulkpoint.environment, bulkpoint.folder, fresh=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for bytes_max, words in ((0, "cannot be used for the embedded PostgreSQL"), (100_000, "could not be made in")):
        process = anew.begin("campaign", "list", **ours)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (bytes_max, limits[1]))
        _, said = process.communicate(timeout=60)
        assert process.returncode == 6, said
        assert str(folder) in said
        assert words in said
        assert "Traceback" not in said

    made = f"A new database was made in {folder}/postgres (BULKPOINT_DATA_DIR names another folder)."
    listed = bulkpoint("campaign", "list", **ours)
    assert (listed.returncode, listed.stderr.splitlines()[0]) == (0, made), "nothing half-made is left"
    assert "A new database" not in bulkpoint("campaign", "list", **ours).stderr
