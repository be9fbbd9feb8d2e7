/* From recovered shards to a running cluster. Control thread. */
#include "node/control.h"

#include "node/clock.h"

#include <assert.h>
#include <stdlib.h>

static void fill_address(const struct control *control, char address[ADDRESS_MAX_BYTES + 1])
{
	address_join(control->values->listen_advertise, control->port, address);
}

/* The members as configured; without any, this node is the only founder. */
static void fill_founders(const struct control *control, struct cluster_config *config)
{
	const struct config_members *members = &control->values->members;

	config->founder_count = members->count == 0 ? 1 : members->count;
	for (uint32_t i = 0; i < members->count; i++) {
		snprintf(config->founders[i].name, sizeof config->founders[i].name, "%s", members->list[i].name);
		snprintf(config->founders[i].control_address, sizeof config->founders[i].control_address, "%s",
			 members->list[i].address);
		if (strcmp(members->list[i].name, config->name) == 0)
			snprintf(config->control_address, sizeof config->control_address, "%s",
				 members->list[i].address);
	}
	if (members->count == 0) {
		snprintf(config->founders[0].name, sizeof config->founders[0].name, "%s", config->name);
		snprintf(config->founders[0].control_address, sizeof config->founders[0].control_address, "%s",
			 config->control_address);
	}
}

static void fill_directory(const struct control *control, struct cluster_directory *directory)
{
	const struct directory_identity *identity = &control->directory->identity;
	char why[DIRECTORY_TEXT_BYTES];

	memcpy(directory->identity, identity->identity, sizeof directory->identity);
	memcpy(directory->cluster_id, identity->cluster_id, sizeof directory->cluster_id);
	directory->node_epoch = identity->node_epoch;
	directory->interval_sync = identity->interval_sync;
	directory->proof_epoch = identity->proof_epoch;
	directory->cluster_version = identity->cluster_version;
	directory->damaged = control->damaged;
	if (directory_raft_begin(control->directory, &directory->raft_empty, why) != DIRECTORY_DONE)
		control_directory_failed(control, why);
}

static void fill_config(const struct control *control, struct cluster_config *config)
{
	const struct config_values *values = control->values;

	memset(config, 0, sizeof *config);
	snprintf(config->name, sizeof config->name, "%s", values->node_name);
	snprintf(config->zone, sizeof config->zone, "%s", values->node_zone);
	snprintf(config->host, sizeof config->host, "%s", values->listen_advertise);
	fill_address(control, config->control_address);
	config->weight = (uint8_t)values->node_weight;
	config->shard_count = (uint16_t)values->shards;
	for (uint64_t i = 0; i < values->shards; i++)
		config->shard_ports[i] = control->shards[i].port;
	config->interval_sync = values->sync_ms != 0;
	config->replication_factor = (uint8_t)values->replication_factor;
	config->minimum_isr = (uint8_t)values->minimum_isr;
	config->reassign_delay_ms = values->reassign_delay_ms;
	config->restore = values->restore;
	fill_founders(control, config);
	config->incarnation = control->incarnation;
	config->versions = control->self.versions;
	memcpy(config->cluster_id, control->fresh_cluster_id, sizeof config->cluster_id);
	config->seed = (uint32_t)control->incarnation;
	fill_directory(control, &config->directory);
}

void control_start_cluster(struct control *control)
{
	struct cluster_config *config = malloc(sizeof *config);

	assert(control->cluster == NULL);
	if (config == NULL)
		control_out_of_memory(control, "the cluster's configuration");
	fill_config(control, config);
	control_raft_open(control);
	control->now_ms = clock_boot_ms();
	control->cluster = cluster_new(config, &control->io, control->now_ms);
	free(config);
	if (control->cluster == NULL)
		control_out_of_memory(control, "the cluster");
	control->self.sender = cluster_sender(control->cluster);
	cluster_start(control->cluster, control->now_ms);
	control_carry_out(control);
}
