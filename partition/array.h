/* Growing arrays without a field for their capacity: it is 4, or the power of two at or above the count. */
#ifndef EVGRID_PARTITION_ARRAY_H
#define EVGRID_PARTITION_ARRAY_H

#include <stdint.h>
#include <stdlib.h>

#include "proto/error.h"

/* Room for one more element. 0, or ERROR_MEMORY: nothing has changed. */
static inline int array_grow(void **array, uint32_t count, size_t element_size)
{
	void *grown;

	if (count != 0 && (count < 4 || (count & (count - 1)) != 0))
		return 0;
	grown = realloc(*array, (count == 0 ? 4 : 2 * (size_t)count) * element_size);
	if (grown == NULL)
		return ERROR_MEMORY;
	*array = grown;
	return 0;
}

#endif
