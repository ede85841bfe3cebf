// SPDX-License-Identifier: GPL-2.0
/*
 * fixreloc FILE...          turns the PLT32 relocations of x86 objects into PC32
 * fixreloc --check FILE...  only says whether there are any
 *
 * binutils 2.31 and later mark every call as one that may go through a PLT.
 * In the kernel there is none and the two mean the same, but the module loader
 * of a kernel from before 4.16 does not know the newer one. A program of the
 * build host, not of the kernel.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Relocations are only changed in kind, so the file keeps its size. */
#define FIX_CLASS(bits, Rel, R_SYM, R_TYPE, R_INFO, PLT32, PC32)		\
static long fix##bits(unsigned char *map, size_t size, int check)		\
{										\
	Elf##bits##_Ehdr *ehdr = (void *)map;					\
	Elf##bits##_Shdr *shdr;							\
	size_t i, n;								\
	long found = 0;								\
										\
	if (size < sizeof(*ehdr) || ehdr->e_shoff > size ||			\
	    (size - ehdr->e_shoff) / sizeof(*shdr) < ehdr->e_shnum)		\
		return -1;							\
	shdr = (void *)(map + ehdr->e_shoff);					\
	for (i = 0; i < ehdr->e_shnum; i++) {					\
		if (shdr[i].sh_type != SHT_RELA && shdr[i].sh_type != SHT_REL)	\
			continue;						\
		if (!shdr[i].sh_entsize || shdr[i].sh_offset > size ||		\
		    size - shdr[i].sh_offset < shdr[i].sh_size)			\
			return -1;						\
		for (n = 0; n < shdr[i].sh_size / shdr[i].sh_entsize; n++) {	\
			Rel *rel = (void *)(map + shdr[i].sh_offset +		\
					    n * shdr[i].sh_entsize);		\
			if (R_TYPE(rel->r_info) != (PLT32))			\
				continue;					\
			found++;						\
			if (!check)						\
				rel->r_info = R_INFO(R_SYM(rel->r_info), PC32);	\
		}								\
	}									\
	return found;								\
}

FIX_CLASS(64, Elf64_Rela, ELF64_R_SYM, ELF64_R_TYPE, ELF64_R_INFO,
	  R_X86_64_PLT32, R_X86_64_PC32)
FIX_CLASS(32, Elf32_Rel, ELF32_R_SYM, ELF32_R_TYPE, ELF32_R_INFO,
	  R_386_PLT32, R_386_PC32)

/* Returns how many there are (or were), or -1 after a message. */
static long fix_file(const char *name, int check)
{
	unsigned char *map = MAP_FAILED;
	Elf32_Ehdr *ehdr;	/* as far as the machine, both are the same */
	struct stat st;
	long found = -1;
	int fd;

	fd = open(name, check ? O_RDONLY : O_RDWR);
	if (fd < 0 || fstat(fd, &st) < 0) {
		fprintf(stderr, "fixreloc: %s: %s\n", name, strerror(errno));
		return -1;
	}
	if ((size_t)st.st_size >= sizeof(*ehdr))
		map = mmap(NULL, st.st_size,
			   check ? PROT_READ : PROT_READ | PROT_WRITE,
			   MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED) {
		fprintf(stderr, "fixreloc: %s: not an object file\n", name);
		return -1;
	}

	ehdr = (void *)map;
	if (!memcmp(ehdr->e_ident, ELFMAG, SELFMAG)) {
		if (ehdr->e_machine == EM_X86_64)
			found = fix64(map, st.st_size, check);
		else if (ehdr->e_machine == EM_386)
			found = fix32(map, st.st_size, check);
	}
	if (found < 0)
		fprintf(stderr, "fixreloc: %s: not an x86 object file\n", name);
	munmap(map, st.st_size);
	return found;
}

int main(int argc, char **argv)
{
	int check = argc > 1 && !strcmp(argv[1], "--check");
	int i, status = 0;
	long found;

	for (i = 1 + check; i < argc; i++) {
		found = fix_file(argv[i], check);
		if (found < 0)
			status = 1;
		if (found > 0 && check) {
			fprintf(stderr, "fixreloc: %s: %ld PLT32 relocations, which EL6's module loader refuses\n",
				argv[i], found);
			status = 1;
		}
	}
	return status;
}
