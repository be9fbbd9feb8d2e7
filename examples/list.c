/* Lists what a cluster has: its streams, its views, and how far each view is.
 *
 *   list ADDRESSES [VIEW]        with VIEW: only how far that one is
 *
 * One line each: "stream NAME", "view NAME version N answering P of 271, entries E, blocked B". */
#include <evgrid.h>
#include <inttypes.h>
#include <stdio.h>

#define WAIT_MS 10000

static int failed(const char *what, int error)
{
	fprintf(stderr, "%s: %s [%s]; %s\n", what, evg_error_text(error), evg_error_name(error), evg_error_next(error));
	return 1;
}

static int list_view(evg *grid, const char *name)
{
	evg_view_progress progress;
	int error = evg_view_progress_get(grid, name, WAIT_MS, &progress);

	if (error != EVG_OK)
		return failed(name, error);
	printf("view %s version %" PRIu32 " answering %" PRIu32 " of %d, entries %" PRIu64 ", blocked %" PRIu64 "\n",
	       name, progress.version, progress.answering, EVG_PARTITIONS, progress.entries, progress.blocked);
	return 0;
}

static int list_all(evg *grid)
{
	evg_catalogue *catalogue;
	evg_stream_info stream;
	evg_view_info view;
	int error = evg_catalogue_open(grid, &catalogue);
	int rv = 0;

	if (error != EVG_OK)
		return failed("the catalogue", error);
	for (size_t i = 0; evg_catalogue_stream(catalogue, i, &stream) == EVG_OK; i++)
		printf("stream %s\n", stream.name);
	for (size_t i = 0; rv == 0 && evg_catalogue_view(catalogue, i, &view) == EVG_OK; i++)
		rv = list_view(grid, view.name);
	evg_catalogue_close(catalogue);
	return rv;
}

int main(int argc, char **argv)
{
	evg *grid;
	int error;
	int rv;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: list ADDRESSES [VIEW]\n");
		return 2;
	}
	error = evg_open(argv[1], NULL, &grid);
	if (error != EVG_OK)
		return failed(argv[1], error);
	rv = argc == 3 ? list_view(grid, argv[2]) : list_all(grid);
	evg_close(grid);
	return rv;
}
