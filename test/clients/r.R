# Reads the queries of test_clients.py with R: Rscript r.R FILE.  What goes in and comes out is told there.

suppressMessages(library(RPostgreSQL))
NAMES <- c(BOOL = "bool", INTEGER = "int4", BIGINT = "int8", DECIMAL = "numeric", TEXT = "text", DATE = "date",
           TIMESTAMPTZOID = "timestamptz")

db <- dbConnect(PostgreSQL(), host = Sys.getenv("PGHOST"), port = Sys.getenv("PGPORT"), dbname = Sys.getenv("PGDATABASE"),
                user = Sys.getenv("PGUSER"), password = Sys.getenv("PGPASSWORD"))
invisible(dbGetQuery(db, "SET client_encoding = 'UTF8'"))

# The driver gives the typmod of a numeric as its precision.
scale <- function(info) bitwAnd(pmax(info$precision, 4L) - 4L, 65535L)
types <- function(info) {
    names <- ifelse(is.na(NAMES[info$type]), info$type, NAMES[info$type])
    ifelse(info$type == "DECIMAL" & info$precision >= 4,
           sprintf("numeric(%d,%d)", bitwShiftR(pmax(info$precision, 4L) - 4L, 16L), scale(info)), names)
}

escaped <- function(values) {
    values <- enc2utf8(as.character(values))
    for (escape in list(c("\\", "\\\\"), c("\t", "\\t"), c("\n", "\\n"), c("\r", "\\r")))
        values <- gsub(escape[1], escape[2], values, fixed = TRUE)
    values[is.na(values)] <- "\\N"
    values
}

# The column as R has it: numbers are doubles.
native <- function(column, type, scale) {
    switch(type,
           BOOL = ifelse(is.na(column), NA, ifelse(column, "t", "f")),
           INTEGER = ,
           BIGINT = ifelse(is.na(column), NA, sprintf("%.0f", as.double(column))),
           DECIMAL = ifelse(is.na(column), NA, sprintf("%.*f", scale, column)),
           DATE = format(column, "%Y-%m-%d"),
           # doubles, which format() cuts off
           TIMESTAMPTZOID = ifelse(is.na(column), NA, format(column + 5e-7, "%Y-%m-%dT%H:%M:%OS6Z", tz = "UTC")),
           as.character(column))
}

show <- function(name, sql, kind, size = -1, head = TRUE) {
    result <- dbSendQuery(db, sql)
    info <- dbColumnInfo(result)
    if (kind == "native" && head)
        writeLines(paste(c(name, "types", types(info)), collapse = "\t"))
    repeat {
        rows <- fetch(result, size)
        if (nrow(rows) > 0) {
            if (kind == "native")
                for (i in seq_along(rows)) rows[[i]] <- native(rows[[i]], info$type[i], scale(info)[i])
            writeLines(do.call(paste, c(list(name, kind), unname(lapply(rows, escaped)), sep = "\t")))
        }
        if (size < 0 || nrow(rows) == 0) break
    }
    dbClearResult(result)
    info$name
}

run <- function(sql) invisible(dbClearResult(dbSendQuery(db, sql)))

# A second query is for the text of numbers, which is the server's.
cast <- function(columns, sql)
    paste0("SELECT ", paste0('q."', gsub('"', '""', columns, fixed = TRUE), '"::text', collapse = ", "), " FROM (", sql, ") AS q")

read <- function(name, mode, sql, kind) {
    force(sql)
    switch(mode,
           plain = show(name, sql, kind),
           fetch = show(name, sql, kind, 2),
           cursor = ,
           hold = {
               if (mode == "cursor") run("BEGIN")
               run(paste("DECLARE c CURSOR", if (mode == "hold") "WITH HOLD", "FOR", sql))
               columns <- show(name, "FETCH 2 FROM c", kind)
               show(name, "FETCH ALL FROM c", kind, head = FALSE)
               run(if (mode == "cursor") "COMMIT" else "CLOSE c")
               columns
           },
           prepared = {
               if (kind %in% prepared) {
                   columns <- show(name, paste("EXECUTE", kind), kind)
                   run(paste("DEALLOCATE", kind))
                   prepared <<- setdiff(prepared, kind)
               } else {
                   run(paste("PREPARE", kind, "AS", sql))
                   columns <- show(name, paste("EXECUTE", kind), kind)
                   prepared <<- c(prepared, kind)
               }
               columns
           },
           stop("unknown mode ", mode))
}
prepared <- character()

step <- function(name, mode, sql) {
    if (mode == "run")
        return(run(sql))
    for (time in seq_len(if (mode == "prepared") 2 else 1)) {
        columns <- read(name, mode, sql, "native")
        read(name, mode, cast(columns, sql), "text")
    }
}

for (fields in strsplit(readLines(commandArgs(TRUE)[1], encoding = "UTF-8"), "\t", fixed = TRUE))
    step(fields[1], fields[2], fields[3])
invisible(dbDisconnect(db))
