/* folder.h: a folder of this process for files that a harness needs, in memory
 * where there is some for files. It is removed at exit; one whose process was
 * killed or aborted is removed by the next process that makes one. */
#ifndef FUZZ_FOLDER_H
#define FUZZ_FOLDER_H

#define FOLDER_SIZE 64u

/* Once a process. */
void folder_make(char folder[FOLDER_SIZE]);

#endif
