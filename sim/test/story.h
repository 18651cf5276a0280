/* story.h: golden traces: a plan, and what is told of it, as prose.
 *
 *   static const struct story stories[] = {
 *       STORY("AC-15", a_second_agent_takes_over,
 *             "0 agent-start 0 naive\n",
 *             "[       0] server    started\n"),
 *   };
 *   STORIES(stories)
 *
 * The plan is run to its end and must not fail; compared is what is told until
 * the world is healed. `test_story_x --bless NAME*` prints what is told now, as
 * C text to paste; a change of a story is explained in its commit.
 */
#ifndef SIM_TEST_STORY_H
#define SIM_TEST_STORY_H

#include <stddef.h>

struct story {
    const char *name; /* requirement ids, a space, what happens */
    const char *plan;
    const char *told;
};

#define STORY(ids, what, plan, told) \
    {                                \
        ids " " #what, plan, told    \
    }

int story_main(const struct story *stories, size_t count, int argc,
               char **argv);

#define STORIES(stories)                                                      \
    int main(int argc, char **argv)                                           \
    {                                                                         \
        return story_main(stories, sizeof(stories) / sizeof *(stories), argc, \
                          argv);                                              \
    }

#endif
